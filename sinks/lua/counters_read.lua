-- Reads counts. ARGV, packed: {key prefix, the viewer or '', names of sets, names of further sets}. Answers when the
-- bucket began, how often its fences moved, for each set its size and whether the viewer is a member, and for each of
-- the further ones its size.
local asked = cmsgpack.unpack(ARGV[1])
local prefix, viewer, names, sized = asked[1], asked[2], asked[3], asked[4]
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
for _, name in ipairs(sized) do
  local _, count = size_of(prefix, name)
  answer[#answer + 1] = count
end
return answer
