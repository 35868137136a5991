-- Applies who turned to whom, and who follows whom. streams/affinity.py says what counts and why forgetting is safe.
--
-- Writes: {i, offset, viewer, author, step, weight}, or {i, offset, viewer, author, since} of a follow or its end. People
-- are strings. A pair is {since, step, sum, step, sum, ...}, by step, in the hash of its viewer.
local KEPT_STEPS = 56

local pairs_held, touched = {}, {}

local function pair_of(viewer, author)
  local name = viewer .. ' ' .. author
  local pair = pairs_held[name]
  if not pair then
    pair = {viewer = viewer, author = author, since = 0, sums = {}}
    local stored = call('HGET', prefix .. 'a:' .. viewer, author)
    if stored then
      local held = cmsgpack.unpack(stored)
      pair.since = held[1]
      for i = 2, #held, 2 do
        pair.sums[held[i]] = held[i + 1]
        pair.newest = math.max(pair.newest or 0, held[i])
      end
    end
    pairs_held[name] = pair
    touched[#touched + 1] = pair
  end
  return pair
end

local function turn(pair, step, weight)
  if pair.newest and step <= pair.newest - KEPT_STEPS then return end
  if not pair.newest or step > pair.newest then
    pair.newest = step
    for old in pairs(pair.sums) do
      if old <= step - KEPT_STEPS then pair.sums[old] = nil end
    end
  end
  pair.sums[step] = (pair.sums[step] or 0) + weight
end

for _, write in ipairs(writes) do
  if write[2] > fence[write[1]] then
    local pair = pair_of(write[3], write[4])
    if write[6] then turn(pair, write[5], write[6]) else pair.since = write[5] end
  end
end
for _, pair in ipairs(touched) do
  local steps, flat = {}, {pair.since}
  for step in pairs(pair.sums) do steps[#steps + 1] = step end
  table.sort(steps)
  for _, step in ipairs(steps) do
    flat[#flat + 1] = step
    flat[#flat + 1] = pair.sums[step]
  end
  local key = prefix .. 'a:' .. pair.viewer
  if pair.since == 0 and #steps == 0 then
    call('HDEL', key, pair.author)
  else
    call('HSET', key, pair.author, cmsgpack.pack(flat))
  end
end
move_fences()
return {'ok'}
