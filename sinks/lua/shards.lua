-- Prelude of the counters' scripts: where the members of a set stand. A small set is one shard, and has no other state;
-- a larger one has "n count" under its name in `shards`, and its members stand in n shards by linear hashing (Litwin,
-- VLDB 1980): the shards before the split pointer use one bit more of the hash than the others.
--
-- Shards stay so small that Redis keeps each as an intset: 8 bytes a member, where a hash table takes some 60.
local call = redis.call

-- All digits of an id count: the low bits of Snowflakes are far from even.
local function hash(member)
  return tonumber(string.sub(redis.sha1hex(member), 1, 8), 16)
end

-- The largest power of 2 that is not above n.
local function round_of(n)
  local round = 1
  while round * 2 <= n do round = round * 2 end
  return round
end

local function shard_of(member, n)
  if n == 1 then return 0 end
  local round = round_of(n)
  local shard = hash(member) % (round * 2)
  if shard >= n then shard = shard - round end
  return shard
end

-- "n count", as `shards` has it.
local function parsed(stored)
  local space = string.find(stored, ' ', 1, true)
  return tonumber(string.sub(stored, 1, space - 1)), tonumber(string.sub(stored, space + 1))
end

-- How many shards the set `name` has, and how many members.
local function size_of(prefix, name)
  local stored = call('HGET', prefix .. 'shards', name)
  if not stored then return 1, call('SCARD', prefix .. name .. ':0') end
  return parsed(stored)
end
