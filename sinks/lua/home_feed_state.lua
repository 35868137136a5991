-- Pass 1: follower sets (f:author, o:follower) and author timelines (t: all, p: those to be pulled, d: deleted).
--
-- Writes: F|U i offset follower followee · T i offset author post redone · X i offset author post
-- then: C, and the authors whose followers in this bucket are to be counted.
-- Answers 'ok', the count of each author, and for each T what pass 2 has to do: push, pull, both or skip.
local answer = {}
local function counted(author) return redis.call('SCARD', prefix .. 'f:' .. author) end

-- A redelivered record cannot know by which mark pass 2 went before, since that may have been rolled back meanwhile:
-- it is pushed in any case, and pulled as well where it was so marked. `redone`: some bucket has already
-- seen it, so that a push there may be skipped: then it has to be pulled too. Readers drop duplicates.
local function on_timeline(is_new, author, post, redone)
  if redis.call('SISMEMBER', prefix .. 'd:' .. author, post) == 1 then return 'skip' end
  local timeline, pulled = prefix .. 't:' .. author, prefix .. 'p:' .. author
  if is_new then
    if redis.call('LPOS', timeline, post) then return 'skip' end
    push(timeline, 't' .. author, post)
    if redone ~= '1' then
      if redis.call('SISMEMBER', prefix .. 'big', author) == 0 then return 'push' end
      push(pulled, 'p' .. author, post)
      return 'pull'
    end
  end
  if redis.call('LPOS', pulled, post) then return 'both' end
  if redone ~= '1' then return 'push' end
  push(pulled, 'p' .. author, post)
  return 'both'
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
