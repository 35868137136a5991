-- Applies what people do with items. streams/trending.py says what counts, streams/trending_scores.py how it is scored
-- and why forgetting is safe.
--
-- ARGV[3]: {people that an item needs, newest day of the batch or of none -1}. Writes: {i, offset, name, person, author,
-- day, value}; value = weight * 288 + 287 - step of the day. Person and author are strings.
local A_DAY, HALF_LIFE = 288, 12
local COARSE = 24 -- steps of five minutes to one of the day's window
local FINE_DAYS, KEPT_DAYS = 2, 8
local SWEPT, AUTHORS = 20, 8
local given = cmsgpack.unpack(ARGV[3])
local least, today = given[1], given[2]
local newest_key = prefix .. 'newest'
local top = call('ZREVRANGE', newest_key, 0, 0, 'WITHSCORES')
if top[2] and tonumber(top[2]) > today then today = tonumber(top[2]) end
local forgotten = today - 2 * KEPT_DAYS -- what lies here or before is over for every reader, for ever

local items, changed, told = {}, {}, {}

local function map_of(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function steps_of(map)
  local steps = {}
  for step in pairs(map) do steps[#steps + 1] = step end
  table.sort(steps)
  return steps
end

local function flat_of(map)
  local flat = {}
  for _, step in ipairs(steps_of(map)) do
    flat[#flat + 1] = step
    flat[#flat + 1] = map[step]
  end
  return flat
end

local function item_of(name)
  local item = items[name]
  if not item then
    local stored = call('GET', prefix .. 'i:' .. name)
    if stored then
      local held = cmsgpack.unpack(stored)
      item = {day = held[1], fine = map_of(held[2]), coarse = map_of(held[3]), people = map_of(held[4])}
    else
      item = {fine = {}, coarse = {}, people = {}}
    end
    items[name] = item
  end
  return item
end

local function keep_from(map, first)
  for step in pairs(map) do
    if step < first then map[step] = nil end
  end
end

local function drop_days(name, people, before)
  for day in pairs(people) do
    if day < before then
      call('UNLINK', prefix .. 'w:' .. name .. ':' .. day, prefix .. 'a:' .. name .. ':' .. day)
      people[day] = nil
    end
  end
end

local function shift(item, day, value, sign)
  local weight = math.floor(value / A_DAY)
  local step = day * A_DAY + A_DAY - 1 - value % A_DAY
  local function add(map, k)
    local sum = (map[k] or 0) + sign * weight
    if sum == 0 then sum = nil end
    map[k] = sum
  end
  if day > item.day - FINE_DAYS then add(item.fine, step) end
  add(item.coarse, math.floor(step / COARSE))
end

-- The lexicographically first authors of an item's day: a sample that is the same in whatever order they come.
local function note_author(name, day, author)
  local key = prefix .. 'a:' .. name .. ':' .. day
  local once = key .. ':' .. author
  if told[once] then return end
  told[once] = true
  if call('ZADD', key, 'NX', 0, author) == 1 then call('ZREMRANGEBYRANK', key, AUTHORS, -1) end
end

local function act(name, person, author, day, value)
  if day <= forgotten then return end
  local item = item_of(name)
  if item.day and day <= item.day - KEPT_DAYS then return end
  if not item.day or day > item.day then
    item.day = day
    drop_days(name, item.people, day - KEPT_DAYS + 1)
    keep_from(item.fine, (day - FINE_DAYS + 1) * A_DAY)
    keep_from(item.coarse, (day - KEPT_DAYS + 1) * A_DAY / COARSE)
    call('ZADD', newest_key, day, name)
    changed[name] = true
  end
  if author ~= '' then note_author(name, day, author) end
  local key = prefix .. 'w:' .. name .. ':' .. day
  local before = tonumber(call('HGET', key, person) or -1)
  if value <= before then return end
  call('HSET', key, person, value)
  if before < 0 then
    item.people[day] = (item.people[day] or 0) + 1
  else
    shift(item, day, before, -1)
  end
  shift(item, day, value, 1)
  changed[name] = true
end

-- Whether at least `least` different people stand in the newest `days` of an item. Where a day alone has them, or all
-- days together have not, nobody has to be looked at.
local function has_people(name, item, days)
  local sum, standing = 0, {}
  for day, n in pairs(item.people) do
    if day > item.day - days then
      if n >= least then return true end
      sum = sum + n
      standing[#standing + 1] = day
    end
  end
  if sum < least then return false end
  local seen, n = {}, 0
  for _, day in ipairs(standing) do
    for _, person in ipairs(call('HKEYS', prefix .. 'w:' .. name .. ':' .. day)) do
      if not seen[person] then
        seen[person] = true
        n = n + 1
      end
    end
  end
  return n >= least
end

local function score(map)
  local steps, sum = steps_of(map), 0
  local last = steps[#steps]
  for _, step in ipairs(steps) do sum = sum + map[step] * 2 ^ ((step - last) / HALF_LIFE) end
  return string.format('%.17g', math.log(sum) / math.log(2) + last / HALF_LIFE)
end

local function rank(name, item, window, map, days)
  local key = prefix .. window .. ':' .. string.sub(name, 1, 1)
  if has_people(name, item, days) then
    call('ZADD', key, score(map), name)
  else
    call('ZREM', key, name)
  end
end

for _, write in ipairs(writes) do
  if write[2] > fence[write[1]] then act(write[3], write[4], write[5], write[6], write[7]) end
end
for name in pairs(changed) do
  local item = items[name]
  local held = {item.day, flat_of(item.fine), flat_of(item.coarse), flat_of(item.people)}
  call('SET', prefix .. 'i:' .. name, cmsgpack.pack(held))
  rank(name, item, '1h', item.fine, FINE_DAYS)
  rank(name, item, '24h', item.coarse, KEPT_DAYS)
end
for _, name in ipairs(call('ZRANGEBYSCORE', newest_key, '-inf', forgotten, 'LIMIT', 0, SWEPT)) do
  local kind = string.sub(name, 1, 1)
  drop_days(name, item_of(name).people, math.huge)
  call('UNLINK', prefix .. 'i:' .. name)
  call('ZREM', prefix .. '1h:' .. kind, name)
  call('ZREM', prefix .. '24h:' .. kind, name)
  call('ZREM', newest_key, name)
end
move_fences()
return {'ok'}
