-- Reads all that a page shows of posts in one bucket. ARGV, packed: {key prefix, kinds with a viewer, further kinds,
-- {post, viewer or '', ...}...}. Answers when the bucket began, how often its fences moved, and packed, for each of the posts, one
-- after the other: the sizes of its sets of the kinds with a viewer and of the others, then of each viewer whether they
-- are in the former ones.
local asked = cmsgpack.unpack(ARGV[1])
local prefix, own, others = asked[1], asked[2], asked[3]
local history = call('HMGET', prefix .. 'history', 'born', 'moves')
local kinds, answer, at = {}, {}, 0
for n, kind in ipairs(own) do kinds[n] = kind .. ':' end
for _, kind in ipairs(others) do kinds[#kinds + 1] = kind .. ':' end
-- Few sets have more than one shard: those are looked up together.
local some_sharded = call('EXISTS', prefix .. 'shards') == 1
for n = 4, #asked do
  local viewers = asked[n]
  local names, shards, counts, stored = {}, {}, {}, {}
  for k, kind in ipairs(kinds) do names[k] = kind .. viewers[1] end
  if some_sharded then stored = call('HMGET', prefix .. 'shards', unpack(names)) end
  for k, name in ipairs(names) do
    if stored[k] then
      shards[k], counts[k] = parsed(stored[k])
    else
      shards[k], counts[k] = 1, call('SCARD', prefix .. name .. ':0')
    end
    at = at + 1
    answer[at] = counts[k]
  end
  for v = 2, #viewers do
    for k = 1, #own do
      at = at + 1
      answer[at] = 0
      if counts[k] > 0 and viewers[v] ~= '' then
        local key = prefix .. names[k] .. ':' .. shard_of(viewers[v], shards[k])
        answer[at] = call('SISMEMBER', key, viewers[v])
      end
    end
  end
end
return {history[1], history[2], cmsgpack.pack(answer)}
