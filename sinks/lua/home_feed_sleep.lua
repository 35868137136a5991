-- People who come and go. Nothing here is from the log: activity decides only push or pull, never what is in a feed.
--
-- Writes: S user cutoff (put to sleep, unless seen after `cutoff`) · B user (begin to wake)
-- · E user floor author post... (end: the feed, from the timelines of all they follow)
-- Answers, packed: for each S and B, 1 if it was done; and for B whom they follow.
--
-- To wake: B moves their memberships back, so that pushes reach the feed again; then timelines are read; then E merges
-- them, with the fences of pass 1 read before the timelines as limits: where this bucket's own pushes were further
-- already, one of them could be in neither, and nothing is applied. A crash in between leaves them 'waking', and B can be
-- said again.
local counts, marks = {}, {}
local seen_key = 'seen:' .. string.match(prefix, '{%d+}')

local function move(user, from, to)
  local authors = call('SMEMBERS', prefix .. 'o:' .. user)
  for _, author in ipairs(authors) do
    call('SMOVE', prefix .. from .. author, prefix .. to .. author, user)
  end
  return authors
end

local function put_to_sleep(user, cutoff)
  local seen = call('ZSCORE', seen_key, user)
  if not seen or tonumber(seen) > cutoff or call('HGET', asleep_key, user) == 'asleep' then return 0 end
  if #move(user, 'f:', 'z:') == 0 then return 0 end
  call('DEL', prefix .. 'h:' .. user)
  call('HDEL', floors_key, user)
  call('HSET', asleep_key, user, 'asleep')
  return 1
end

local function begin_to_wake(user)
  if call('HEXISTS', asleep_key, user) == 0 then return 0 end
  marks = move(user, 'z:', 'f:')
  call('HSET', asleep_key, user, 'waking')
  return 1
end

local function awake(user, floor, posts)
  if call('HGET', asleep_key, user) ~= 'waking' then return end
  local feed, follows = call('LRANGE', prefix .. 'h:' .. user, 0, -1), {}
  for n = 4, #posts, 2 do
    local author = posts[n]
    if follows[author] == nil then follows[author] = call('SISMEMBER', prefix .. 'o:' .. user, author) == 1 end
    if follows[author] then feed[#feed + 1] = posts[n + 1] end
  end
  if floor ~= '' then raise_floor(user, floor) end
  rewrite(prefix .. 'h:' .. user, user, feed)
  call('HDEL', asleep_key, user)
end

for _, write in ipairs(writes) do
  local kind, user = write[1], write[2]
  if kind == 'S' then
    counts[#counts + 1] = put_to_sleep(user, write[3])
  elseif kind == 'B' then
    counts[#counts + 1] = begin_to_wake(user)
  else
    awake(user, write[3], write)
  end
end
return {'ok', cmsgpack.pack({counts, marks})}
