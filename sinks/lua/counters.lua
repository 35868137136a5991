-- Applies counters. Sets are named KIND:POST; KIND is one letter. c: a post's comments, x: those that are gone for good,
-- p: comments that have, or had, replies, r:COMMENT: those replies, in the bucket of the post.
--
-- Writes: M i post name {offset, member, ...} {offset, member, ...} (who comes, and who goes) · G i offset post name...
-- (the post is gone, and with it these sets) · C i offset post comment parent (parent '0' for none) · D i offset post
-- comment parent (the comment is gone, and with it its replies) · N i offset post set... (the post names what these sets
-- count, and nothing else) · S i offset post (the post is published).
--
-- h:NAME: published posts that name something, h: all that are published; the hash `named` has, of each post that names
-- anything, the sets in which it stands or will once it is published.
local SPLIT_ABOVE, AT_ONCE = 200, 50
local shards_key, gone_key = prefix .. 'shards', prefix .. 'gone'

-- What this call has asked already.
local sizes, changed, gone, sharded = {}, {}, {}, {}

-- Asked for all at once: a call for each costs more than what it asks.
local function ask_ahead()
  local posts, names = {}, {}
  for _, write in ipairs(writes) do
    if write[1] == 'M' then
      posts[#posts + 1], names[#names + 1] = write[3], write[4]
    end
  end
  for i = 1, #posts, 1000 do
    local last = math.min(i + 999, #posts)
    for n, is in ipairs(call('SMISMEMBER', gone_key, unpack(posts, i, last))) do gone[posts[i + n - 1]] = is == 1 end
    for n, stored in ipairs(call('HMGET', shards_key, unpack(names, i, last))) do sharded[names[i + n - 1]] = stored end
  end
end

local function size(name)
  local found = sizes[name]
  if not found then
    local stored = sharded[name]
    local n, count
    if stored == false then
      n, count = 1, call('SCARD', prefix .. name .. ':0')
    else
      n, count = size_of(prefix, name)
    end
    found = {n, count}
    sizes[name] = found
  end
  return found
end

local function is_gone(post)
  if gone[post] == nil then gone[post] = call('SISMEMBER', gone_key, post) == 1 end
  return gone[post]
end

-- One shard more: its members come from the one at the split pointer.
local function split(name, n)
  local round = round_of(n)
  local from, to = prefix .. name .. ':' .. (n - round), prefix .. name .. ':' .. n
  local moving = {}
  for _, member in ipairs(call('SMEMBERS', from)) do
    if hash(member) % (round * 2) == n then moving[#moving + 1] = member end
  end
  for i = 1, #moving, 1000 do
    local last = math.min(i + 999, #moving)
    call('SREM', from, unpack(moving, i, last))
    call('SADD', to, unpack(moving, i, last))
  end
end

-- Members by the shard in which they stand.
local function by_shard(found, members)
  if found[1] == 1 then return {[0] = members} end
  local shards = {}
  for _, member in ipairs(members) do
    local shard = shard_of(member, found[1])
    local some = shards[shard]
    if some then some[#some + 1] = member else shards[shard] = {member} end
  end
  return shards
end

-- `members`: AT_ONCE at most, so that no shard grows far beyond what it is to hold before it is split.
local function add_some(name, members)
  local found, added = size(name), 0
  for shard, some in pairs(by_shard(found, members)) do
    added = added + call('SADD', prefix .. name .. ':' .. shard, unpack(some))
  end
  if added == 0 then return end
  found[2] = found[2] + added
  while found[2] > SPLIT_ABOVE * found[1] do
    split(name, found[1])
    found[1] = found[1] + 1
  end
  changed[name] = true
end

local function remove_some(name, members)
  local found, removed = size(name), 0
  for shard, some in pairs(by_shard(found, members)) do
    removed = removed + call('SREM', prefix .. name .. ':' .. shard, unpack(some))
  end
  if removed == 0 then return end
  found[2] = found[2] - removed
  changed[name] = true
end

local function add(name, member) add_some(name, {member}) end
local function remove(name, member) remove_some(name, {member}) end

-- Those of {offset, member, ...} that are new, some at a time.
local function each_new(words, above, take, name)
  local members = {}
  for i = 1, #words, 2 do
    if words[i] > above then
      members[#members + 1] = words[i + 1]
      if #members == AT_ONCE then
        take(name, members)
        members = {}
      end
    end
  end
  if #members > 0 then take(name, members) end
end

local function drop(name)
  local found = size(name)
  if found[2] == 0 then return end
  for shard = 0, found[1] - 1 do call('UNLINK', prefix .. name .. ':' .. shard) end
  found[2] = 0
  changed[name] = true
end

local function members(name)
  local found, held = size(name), {}
  if found[2] == 0 then return held end
  for shard = 0, found[1] - 1 do
    for _, member in ipairs(call('SMEMBERS', prefix .. name .. ':' .. shard)) do held[#held + 1] = member end
  end
  return held
end

local function is_dead(post, comment)
  local name = 'x:' .. post
  local found = size(name)
  return found[2] > 0 and call('SISMEMBER', prefix .. name .. ':' .. shard_of(comment, found[1]), comment) == 1
end

local function add_comment(post, comment, parent)
  if is_dead(post, comment) then return end
  if parent ~= '0' then
    if is_dead(post, parent) then return end
    add('r:' .. parent, comment)
    add('p:' .. post, parent)
  end
  add('c:' .. post, comment)
end

local function remove_comment(post, comment, parent)
  add('x:' .. post, comment)
  remove('c:' .. post, comment)
  if parent ~= '0' then return remove('r:' .. parent, comment) end
  for _, reply in ipairs(members('r:' .. comment)) do remove('c:' .. post, reply) end
  drop('r:' .. comment)
end

local SHOWN, named_key = 'h:', prefix .. 'named'

local function is_shown(post)
  local found = size(SHOWN)
  return found[2] > 0 and call('SISMEMBER', prefix .. SHOWN .. ':' .. shard_of(post, found[1]), post) == 1
end

local function named_by(post)
  local stored = call('HGET', named_key, post)
  return stored and cmsgpack.unpack(stored) or {}
end

local function name_post(post, names)
  local before, now = named_by(post), {}
  for _, name in ipairs(names) do now[name] = true end
  if is_shown(post) then
    for _, name in ipairs(before) do
      if not now[name] then remove(name, post) end
    end
    for _, name in ipairs(names) do add(name, post) end
  end
  if #names > 0 then
    call('HSET', named_key, post, cmsgpack.pack(names))
  elseif #before > 0 then
    call('HDEL', named_key, post)
  end
end

local function show_post(post)
  add(SHOWN, post)
  for _, name in ipairs(named_by(post)) do add(name, post) end
end

local function forget_post(post)
  remove(SHOWN, post)
  for _, name in ipairs(named_by(post)) do remove(name, post) end
  call('HDEL', named_key, post)
end

ask_ahead()
for _, write in ipairs(writes) do
  if write[1] == 'M' then
    if not is_gone(write[3]) then
      each_new(write[5], fence[write[2]], add_some, write[4])
      each_new(write[6], fence[write[2]], remove_some, write[4])
    end
  elseif write[3] > fence[write[2]] then
    local kind = write[1]
    if kind == 'G' then
      gone[write[4]] = true
      call('SADD', gone_key, write[4])
      for _, comment in ipairs(members('p:' .. write[4])) do drop('r:' .. comment) end
      drop('p:' .. write[4])
      for i = 5, #write do drop(write[i]) end
      forget_post(write[4])
    elseif is_gone(write[4]) then
      -- Nothing is said of it any more.
    elseif kind == 'N' then
      local names = {}
      for i = 5, #write do names[#names + 1] = write[i] end
      name_post(write[4], names)
    elseif kind == 'S' then
      show_post(write[4])
    else
      (kind == 'C' and add_comment or remove_comment)(write[4], write[5], write[6])
    end
  end
end
for name in pairs(changed) do
  local n, count = sizes[name][1], sizes[name][2]
  if count == 0 then
    call('HDEL', shards_key, name)
  elseif n > 1 then
    call('HSET', shards_key, name, n .. ' ' .. count)
  end
end
move_fences()
return {'ok'}
