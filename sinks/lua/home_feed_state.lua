-- Pass 1: follower sets (f:author, o:follower) and author timelines (t: all, p: those to be pulled, d: deleted).
--
-- Writes: F|U i offset follower followee · T i offset author post redone · X i offset author post
-- then: C, and the authors whose followers in this bucket are to be counted.
-- Answers 'ok', the count of each author, and for each T what pass 2 has to do: push, pull or skip.
local answer = {}
local function counted(author) return redis.call('SCARD', prefix .. 'f:' .. author) end

-- `redone`: pass 2 has already run for this record somewhere, with a mark that is lost. Marking it as pulled is
-- right either way, since readers merge pulled posts and drop duplicates.
local function on_timeline(is_new, author, post, redone)
  if redis.call('SISMEMBER', prefix .. 'd:' .. author, post) == 1 then return 'skip' end
  local timeline, pulled = prefix .. 't:' .. author, prefix .. 'p:' .. author
  local known = redis.call('LPOS', timeline, post)
  if not is_new then
    return redis.call('LPOS', pulled, post) and 'pull' or 'push'
  end
  if known then return 'skip' end
  push(timeline, 't' .. author, post)
  if redone == '1' or redis.call('SISMEMBER', prefix .. 'big', author) == 1 then
    push(pulled, 'p' .. author, post)
    return 'pull'
  end
  return 'push'
end

local marks = {}
local kind = take()
while kind and kind ~= 'C' do
  local i, offset, a, b = tonumber(take()), tonumber(take()), take(), take()
  local is_new = offset > fence[i]
  if kind == 'T' then
    marks[#marks + 1] = on_timeline(is_new, a, b, take())
  elseif is_new then
    if kind == 'F' then
      redis.call('SADD', prefix .. 'f:' .. b, a)
      redis.call('SADD', prefix .. 'o:' .. a, b)
    elseif kind == 'U' then
      redis.call('SREM', prefix .. 'f:' .. b, a)
      redis.call('SREM', prefix .. 'o:' .. a, b)
    elseif kind == 'X' then
      redis.call('LREM', prefix .. 't:' .. a, 0, b)
      redis.call('LREM', prefix .. 'p:' .. a, 0, b)
      redis.call('SADD', prefix .. 'd:' .. a, b)
    end
  end
  kind = take()
end
if kind == 'C' then
  local author = take()
  while author do
    answer[#answer + 1] = counted(author)
    author = take()
  end
end
move_fences()
return {'ok', answer, marks}
