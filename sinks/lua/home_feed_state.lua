-- Pass 1: follower sets (f:author, z:author for those asleep, o:follower) and author timelines
-- (t:author; d:author holds deleted posts).
--
-- Writes: F|U i offset follower followee · T i offset author post · X i offset author post
-- · C author... (count their followers in this bucket)
-- Answers 'ok' and, packed, the counts, and for each T whether pass 2 has to fan it out: 'push' or 'skip'.
local counts, marks = {}, {}

-- A redelivered record is fanned out again: what pass 2 did for it may be lost, and where it is not, a fence says so.
local function on_timeline(is_new, author, post)
  if call('SISMEMBER', prefix .. 'd:' .. author, post) == 1 then return 'skip' end
  if is_new then
    local timeline = prefix .. 't:' .. author
    if call('LPOS', timeline, post) then return 'skip' end
    push(timeline, 't' .. author, post)
  end
  return 'push'
end

for _, write in ipairs(writes) do
  local kind = write[1]
  if kind == 'C' then
    for n = 2, #write do
      local count = call('SCARD', prefix .. 'f:' .. write[n])
      if anybody_asleep() then count = count + call('SCARD', prefix .. 'z:' .. write[n]) end
      counts[#counts + 1] = count
    end
  else
    local is_new, a, b = write[3] > fence[write[2]], write[4], write[5]
    if kind == 'T' then
      marks[#marks + 1] = on_timeline(is_new, a, b)
    elseif is_new then
      if kind == 'F' then
        call('SADD', prefix .. (is_asleep(a) and 'z:' or 'f:') .. b, a)
        call('SADD', prefix .. 'o:' .. a, b)
      elseif kind == 'U' then
        call('SREM', prefix .. (is_asleep(a) and 'z:' or 'f:') .. b, a)
        call('SREM', prefix .. 'o:' .. a, b)
      elseif kind == 'X' then
        call('LREM', prefix .. 't:' .. a, 0, b)
        call('SADD', prefix .. 'd:' .. a, b)
      end
    end
  end
end
move_fences()
return {'ok', cmsgpack.pack({counts, marks})}
