-- Prelude of both passes: one call brings one micro-batch, or a part of it, to one bucket.
--
-- ARGV: key prefix | pass | cap | slack | n | n x (field, topic id, prior, last) | m | m x (field, limit) | writes
--
-- A fence is the highest offset applied by one pass, of one topic-partition, in this bucket. All checks come before
-- the first write, because an error in a script undoes nothing:
--   * a fence below `prior` has gone back (Redis lost data): nothing is applied, the agent seeks;
--   * a fence of another topic id belongs to a log that was remade: nothing is applied, the worker stops;
--   * pass 2 needs pass 1 of the same records in this bucket, since it reads what pass 1 wrote;
--   * a backfill must not be older than the pushes already made here: its source's fence is the `limit`.
local prefix, pass, cap, slack = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local fences_key, floors_key = prefix .. 'fences', prefix .. 'floors'
local cursor = 4
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function stored_fence(of_pass, field)
  local stored = redis.call('HGET', fences_key, of_pass .. ':' .. field)
  if not stored then return -1, nil end
  local space = string.find(stored, ' ', 1, true)
  return tonumber(string.sub(stored, 1, space - 1)), string.sub(stored, space + 1)
end

local fence, moves = {}, {}
for i = 1, tonumber(take()) do
  local field, topic_id, prior, last = take(), take(), tonumber(take()), tonumber(take())
  local applied, stored_id = stored_fence(pass, field)
  if stored_id and stored_id ~= topic_id then return {'remade', field} end
  if applied < prior then return {'behind', field} end
  if pass == '2' and stored_fence('1', field) < last then return {'behind', field} end
  fence[i] = applied
  if last > applied then
    moves[#moves + 1] = pass .. ':' .. field
    moves[#moves + 1] = string.format('%.0f', last) .. ' ' .. topic_id
  end
end
for _ = 1, tonumber(take()) do
  local field, limit = take(), tonumber(take())
  if stored_fence('2', field) > limit then return {'behind', field} end
end

-- A list of post ids, newest pushed first. Its floor is the highest id ever evicted: the list holds every id above
-- its floor, and readers ignore what is at or below it. Ids are compared as strings: all have 19 digits.
local function raise_floor(field, id)
  if id > (redis.call('HGET', floors_key, field) or '') then redis.call('HSET', floors_key, field, id) end
end

local function descending(a, b) return a > b end

-- Replaces a list by the newest `cap` of `ids`, each once, and raises the floor to what was evicted.
local function rewrite(key, floor_field, ids)
  table.sort(ids, descending)
  local floor = redis.call('HGET', floors_key, floor_field) or ''
  local kept, previous = {}, nil
  for _, id in ipairs(ids) do
    if id <= floor then break end
    if id ~= previous then
      if #kept == cap then
        redis.call('HSET', floors_key, floor_field, id)
        break
      end
      kept[#kept + 1] = id
      previous = id
    end
  end
  redis.call('DEL', key)
  for i = 1, #kept, 1000 do
    redis.call('RPUSH', key, unpack(kept, i, math.min(i + 999, #kept)))
  end
end

-- Evicts by position, which is cheap, where the evicted are also the oldest; else sorts.
local function trim(key, floor_field)
  local highest = ''
  for _, id in ipairs(redis.call('LRANGE', key, cap, -1)) do
    if id > highest then highest = id end
  end
  if highest < redis.call('LINDEX', key, cap - 1) and highest < redis.call('LINDEX', key, 0) then
    redis.call('LTRIM', key, 0, cap - 1)
    raise_floor(floor_field, highest)
  else
    rewrite(key, floor_field, redis.call('LRANGE', key, 0, -1))
  end
end

local function push(key, floor_field, id)
  if redis.call('LPUSH', key, id) > cap + slack then trim(key, floor_field) end
end

local function move_fences()
  if #moves > 0 then redis.call('HSET', fences_key, unpack(moves)) end
end
