-- Pass 2: feeds (h:user).
--
-- Writes: P (i offset author post level)... · W i offset author post · R i offset follower followee floor id...
-- Level: 1 from here on the author's posts are pulled, 0 pushed, -1 as before.
--
-- Invariants kept here: a feed holds every post above its floor of every author in o:user, except of those in `pulled`,
-- whose timelines readers merge; and who is not pushed to is in `pulled` at the same moment. Whether to push or to pull is
-- decided in each bucket by what that bucket itself holds, so that no loss of another one can make the two disagree.
local GATHER_FROM = 100
local feed_key, followers_key, big_key = prefix .. 'h:', prefix .. 'f:', prefix .. 'big'

-- An author's followers in this bucket. Pass 2 does not change them: asked once a call.
local known = {}
local function followers_of(author)
  local followers = known[author]
  if not followers then
    followers = call('SMEMBERS', followers_key .. author)
    known[author] = followers
  end
  return followers
end

-- Whether to pull. Hardly ever is there anybody in `big`: then nobody is looked for there.
local is_big, bigs = {}, call('SCARD', big_key)
local function to_pull(author, level)
  if level == 1 then
    if not is_big[author] then bigs = bigs + call('SADD', big_key, author) end
    is_big[author] = true
  elseif bigs == 0 then
    return false
  elseif level == 0 then
    if is_big[author] ~= false then bigs = bigs - call('SREM', big_key, author) end
    is_big[author] = false
  elseif is_big[author] == nil then
    is_big[author] = call('SISMEMBER', big_key, author) == 1
  end
  return is_big[author]
end

local function push_each(posts)
  for n = 2, #posts, 5 do
    if posts[n + 1] > fence[posts[n]] then
      local author, post = posts[n + 2], posts[n + 3]
      if to_pull(author, posts[n + 4]) then
        call('SADD', prefix .. 'pulled', author)
      else
        local followers = followers_of(author)
        for i = 1, #followers do push(feed_key .. followers[i], followers[i], post) end
      end
    end
  end
end

-- Pushes gathered by follower, so that each feed is touched once: pays where a call has many posts.
local function push_gathered(posts)
  local gathered, order = {}, {}
  for n = 2, #posts, 5 do
    if posts[n + 1] > fence[posts[n]] then
      local author, post = posts[n + 2], posts[n + 3]
      if to_pull(author, posts[n + 4]) then
        call('SADD', prefix .. 'pulled', author)
      else
        local followers = followers_of(author)
        for i = 1, #followers do
          local follower = followers[i]
          local ids = gathered[follower]
          if ids then
            ids[#ids + 1] = post
          else
            gathered[follower] = {post}
            order[#order + 1] = follower
          end
        end
      end
    end
  end
  for i = 1, #order do
    local follower = order[i]
    local key, ids, length = feed_key .. follower, gathered[follower], 0
    for n = 1, #ids, 1000 do
      length = call('LPUSH', key, unpack(ids, n, math.min(n + 999, #ids)))
    end
    if length > cap + slack then trim(key, follower) end
  end
end

-- The outcome depends only on whether the relation stands now: follow, unfollow and follow again all end here.
local function reconcile(follower, followee, floor, ids)
  if is_asleep(follower) then return end  -- they have no feed; it is made from timelines when they wake
  local key = feed_key .. follower
  local feed = call('LRANGE', key, 0, -1)
  if call('SISMEMBER', prefix .. 'o:' .. follower, followee) == 1 then
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

for _, write in ipairs(writes) do
  local kind = write[1]
  if kind == 'P' then
    if #write >= 5 * GATHER_FROM + 1 then push_gathered(write) else push_each(write) end
  elseif write[3] > fence[write[2]] then
    local a, b = write[4], write[5]
    if kind == 'W' then
      for _, follower in ipairs(followers_of(a)) do call('LREM', feed_key .. follower, 0, b) end
    else
      reconcile(a, b, write[6], {unpack(write, 7)})
    end
  end
end
move_fences()
return {'ok'}
