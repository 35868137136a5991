-- Pass 1: follower sets (f:author, o:follower) and author timelines (t:author; d:author holds deleted posts).
--
-- Writes: F|U i offset follower followee · T i offset author post · X i offset author post
-- then: C, and the authors whose followers in this bucket are to be counted.
-- Answers 'ok', the count of each author, and for each T whether pass 2 has to fan it out: 'push' or 'skip'.
local answer = {}
local function counted(author) return redis.call('SCARD', prefix .. 'f:' .. author) end

-- A redelivered record is fanned out again: what pass 2 did for it may be lost, and where it is not, a fence says so.
local function on_timeline(is_new, author, post)
  if redis.call('SISMEMBER', prefix .. 'd:' .. author, post) == 1 then return 'skip' end
  if is_new then
    local timeline = prefix .. 't:' .. author
    if redis.call('LPOS', timeline, post) then return 'skip' end
    push(timeline, 't' .. author, post)
  end
  return 'push'
end

local marks = {}
local kind = take()
while kind and kind ~= 'C' do
  local i, offset, a, b = tonumber(take()), tonumber(take()), take(), take()
  local is_new = offset > fence[i]
  if kind == 'T' then
    marks[#marks + 1] = on_timeline(is_new, a, b)
  elseif is_new then
    if kind == 'F' then
      redis.call('SADD', prefix .. 'f:' .. b, a)
      redis.call('SADD', prefix .. 'o:' .. a, b)
    elseif kind == 'U' then
      redis.call('SREM', prefix .. 'f:' .. b, a)
      redis.call('SREM', prefix .. 'o:' .. a, b)
    elseif kind == 'X' then
      redis.call('LREM', prefix .. 't:' .. a, 0, b)
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
