-- Pass 2: feeds (h:user).
--
-- Writes: P i offset author post · W i offset author post · R i offset follower followee floor n id... ·
-- L author 0|1 (from here on the author's posts are pulled, or pushed again)
-- GROUP first: pushes are gathered by follower, so that each feed is touched once; it pays in large calls only.
--
-- Invariants kept here: a feed holds every post above its floor of every author in o:user, except of those in `pulled`,
-- whose timelines readers merge; and who is not pushed to is in `pulled` at the same moment. Whether to push or to pull is
-- decided in each bucket by what that bucket itself holds, so that no loss of another one can make the two disagree.
local group = take() == '1'
local pushes, order = {}, {}

local function fan_out(author, post)
  if redis.call('SISMEMBER', prefix .. 'big', author) == 1 then
    redis.call('SADD', prefix .. 'pulled', author)
    return
  end
  for _, follower in ipairs(redis.call('SMEMBERS', prefix .. 'f:' .. author)) do
    if not group then
      push(prefix .. 'h:' .. follower, follower, post)
    else
      local ids = pushes[follower]
      if ids then
        ids[#ids + 1] = post
      else
        pushes[follower] = {post}
        order[#order + 1] = follower
      end
    end
  end
end

local function flush()
  for _, follower in ipairs(order) do
    local key, ids, length = prefix .. 'h:' .. follower, pushes[follower], 0
    for i = 1, #ids, 1000 do
      length = redis.call('LPUSH', key, unpack(ids, i, math.min(i + 999, #ids)))
    end
    if length > cap + slack then trim(key, follower) end
  end
  pushes, order = {}, {}
end

-- The outcome depends only on whether the relation stands now: follow, unfollow and follow again all end here.
local function reconcile(follower, followee, floor, ids)
  local key = prefix .. 'h:' .. follower
  local feed = redis.call('LRANGE', key, 0, -1)
  if redis.call('SISMEMBER', prefix .. 'o:' .. follower, followee) == 1 then
    if floor ~= '' then raise_floor(follower, floor) end
    for _, id in ipairs(ids) do feed[#feed + 1] = id end
    rewrite(key, follower, feed)
  elseif #feed > 0 then
    local gone = {}
    for _, id in ipairs(ids) do gone[id] = true end
    local kept = {}
    for _, id in ipairs(feed) do
      if not gone[id] then kept[#kept + 1] = id end
    end
    if #kept < #feed then rewrite(key, follower, kept) end
  end
end

local kind = take()
while kind do
  if kind == 'L' then
    local author, big = take(), take()
    redis.call(big == '1' and 'SADD' or 'SREM', prefix .. 'big', author)
  else
    local i, offset, a, b = tonumber(take()), tonumber(take()), take(), take()
    local is_new = offset > fence[i]
    if kind == 'P' then
      if is_new then fan_out(a, b) end
    elseif kind == 'W' then
      if is_new then
        flush()
        for _, follower in ipairs(redis.call('SMEMBERS', prefix .. 'f:' .. a)) do
          redis.call('LREM', prefix .. 'h:' .. follower, 0, b)
        end
      end
    else
      local floor, n = take(), tonumber(take())
      local ids = {}
      for j = 1, n do ids[j] = take() end
      if is_new then
        flush()
        reconcile(a, b, floor, ids)
      end
    end
  end
  kind = take()
end
flush()
move_fences()
return {'ok'}
