-- Reads feeds and timelines of one bucket. ARGV, packed: {key prefix, people, authors}. Answers when the bucket began,
-- how often its fences moved, and packed, for each of `people` {asleep, floor, whom of those they follow to pull, feed},
-- and for each of `authors` {0, floor, nobody, timeline}. Ids are strings, since numbers are doubles here; a floor that there is
-- none of is '0'.
local call = redis.call
local asked = cmsgpack.unpack(ARGV[1])
local prefix, people, authors = asked[1], asked[2], asked[3]
local floors, pulled = prefix .. 'floors', prefix .. 'pulled'
local history = call('HMGET', prefix .. 'history', 'born', 'moves')
local some_asleep = #people > 0 and call('EXISTS', prefix .. 'asleep') == 1
local feeds, timelines = {}, {}
for n, person in ipairs(people) do
  if some_asleep and call('HEXISTS', prefix .. 'asleep', person) == 1 then
    feeds[n] = {1, '0', {}, {}}
  else
    local floor = call('HGET', floors, person) or '0'
    feeds[n] = {0, floor, call('SINTER', prefix .. 'o:' .. person, pulled), call('LRANGE', prefix .. 'h:' .. person, 0, -1)}
  end
end
for n, author in ipairs(authors) do
  timelines[n] = {0, call('HGET', floors, 't' .. author) or '0', {}, call('LRANGE', prefix .. 't:' .. author, 0, -1)}
end
return {history[1], history[2], cmsgpack.pack({feeds, timelines})}
