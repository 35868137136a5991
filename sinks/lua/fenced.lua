-- Prelude of all scripts: one call brings one micro-batch, or a part of it, to one bucket.
--
-- ARGV, both packed by MessagePack: {key prefix, pass, cap, slack, {field, topic id, prior, last, ...},
-- {field, limit, ...}} and the writes, each a list of words. Ids come as strings: numbers are doubles here.
--
-- A fence is the highest offset applied by one pass, of one topic-partition, in this bucket. All checks come before
-- the first write, because an error in a script undoes nothing:
--   * a fence below `prior` has gone back (Redis lost data): nothing is applied, the agent seeks;
--   * a fence of another topic id belongs to a log that was remade: nothing is applied, the worker stops;
--   * pass 2 needs pass 1 of the same records in this bucket, since it reads what pass 1 wrote;
--   * a backfill must not be older than the pushes already made here: its source's fence is the `limit`.
local call = redis.call
local head, writes = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local prefix, pass, cap, slack = head[1], head[2], head[3], head[4]
local fences_key, floors_key = prefix .. 'fences', prefix .. 'floors'
local asleep_key, history_key = prefix .. 'asleep', prefix .. 'history'
-- There is no such key, and a cluster refuses to look for it while it moves this bucket to another node: half of the
-- bucket's keys are there by now, and an error at the first of those would come after the first write.
call('EXISTS', prefix .. 'whole')

-- The offset and the topic id of each stored fence; -1 and nil where there is none.
local function stored_fences(of_pass, fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = of_pass .. ':' .. field end
  local offsets, topic_ids = {}, {}
  for i, stored in ipairs(call('HMGET', fences_key, unpack(names))) do
    offsets[i] = -1
    if stored then
      local space = string.find(stored, ' ', 1, true)
      offsets[i], topic_ids[i] = tonumber(string.sub(stored, 1, space - 1)), string.sub(stored, space + 1)
    end
  end
  return offsets, topic_ids
end

local fence, moves = {}, {}
local spans, limits = head[5], head[6]
if #spans > 0 then
  local fields = {}
  for i = 1, #spans, 4 do fields[#fields + 1] = spans[i] end
  local applied, stored_ids = stored_fences(pass, fields)
  local first_pass = pass == '2' and stored_fences('1', fields)
  for i, field in ipairs(fields) do
    local topic_id, prior, last = spans[4 * i - 2], spans[4 * i - 1], spans[4 * i]
    if stored_ids[i] and stored_ids[i] ~= topic_id then return {'remade', field} end
    if applied[i] < prior then return {'behind', field} end
    if first_pass and first_pass[i] < last then return {'behind', field} end
    if last > applied[i] then
      moves[#moves + 1] = pass .. ':' .. field
      moves[#moves + 1] = string.format('%.0f', last) .. ' ' .. topic_id
    end
  end
  fence = applied
end
for i = 1, #limits, 2 do
  if stored_fences('2', {limits[i]})[1] > limits[i + 1] then return {'behind', limits[i]} end
end

-- A list of post ids, newest pushed first. Its floor is the highest id ever evicted: the list holds every id above
-- its floor, and readers ignore what is at or below it. Ids are compared as strings: all have 19 digits.
local function raise_floor(field, id)
  if id > (call('HGET', floors_key, field) or '') then call('HSET', floors_key, field, id) end
end

local function descending(a, b) return a > b end

-- Replaces a list by the newest `cap` of `ids`, each once, and raises the floor to what was evicted.
local function rewrite(key, floor_field, ids)
  table.sort(ids, descending)
  local floor = call('HGET', floors_key, floor_field) or ''
  local kept, previous = {}, nil
  for _, id in ipairs(ids) do
    if id <= floor then break end
    if id ~= previous then
      if #kept == cap then
        call('HSET', floors_key, floor_field, id)
        break
      end
      kept[#kept + 1] = id
      previous = id
    end
  end
  call('DEL', key)
  for i = 1, #kept, 1000 do
    call('RPUSH', key, unpack(kept, i, math.min(i + 999, #kept)))
  end
end

-- Evicts by position, which is cheap, where the evicted are also the oldest, but for a tenth of those that stay: what is
-- older than one that goes is below the floor then, and nobody is shown it from here. Posts of other partitions come
-- that much too late or too early all the time, and to sort for it costs twenty times as much. Else sorts.
local function trim(key, floor_field)
  local tail, highest = call('LRANGE', key, cap, -1), ''
  for i = 1, #tail do
    if tail[i] > highest then highest = tail[i] end
  end
  if highest < call('LINDEX', key, cap - 1 - math.floor(cap / 10)) and highest < call('LINDEX', key, 0) then
    call('LTRIM', key, 0, cap - 1)
    raise_floor(floor_field, highest)
  else
    rewrite(key, floor_field, call('LRANGE', key, 0, -1))
  end
end

local function push(key, floor_field, id)
  if call('LPUSH', key, id) > cap + slack then trim(key, floor_field) end
end

-- Counts the moves, from when the bucket began: what is read together with the count shows by it whether the bucket
-- still is, or has gone back to, what it was when somebody last looked at all its fences.
local function move_fences()
  if #moves == 0 then return end
  call('HSET', fences_key, unpack(moves))
  if call('HINCRBY', history_key, 'moves', 1) == 1 then
    local now = call('TIME')
    call('HSET', history_key, 'born', now[1] .. '.' .. now[2])
  end
end

-- Who has not been seen for long is asleep: they follow in z:author instead of f:author, and have no feed. Who is being
-- woken follows in f:author again, and has a feed that lacks what came before. Most buckets of a young world have nobody
-- asleep: then nobody is looked for.
local some_asleep
local function anybody_asleep()
  if some_asleep == nil then some_asleep = call('EXISTS', asleep_key) == 1 end
  return some_asleep
end

local function is_asleep(user)
  return anybody_asleep() and call('HGET', asleep_key, user) == 'asleep'
end
