-- Reads counts. ARGV, packed: {key prefix, the viewer or '', names of sets}. Answers when the bucket began, how often its
-- fences moved, and for each set its size and whether the viewer is a member.
local asked = cmsgpack.unpack(ARGV[1])
local prefix, viewer, names = asked[1], asked[2], asked[3]
local history = call('HMGET', prefix .. 'history', 'born', 'moves')
local answer = {history[1], history[2]}
for _, name in ipairs(names) do
  local n, count = size_of(prefix, name)
  local member = 0
  if viewer ~= '' and count > 0 then
    member = call('SISMEMBER', prefix .. name .. ':' .. shard_of(viewer, n), viewer)
  end
  answer[#answer + 1] = count
  answer[#answer + 1] = member
end
return answer
