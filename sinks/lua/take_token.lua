-- Takes one token out of the bucket KEYS[1], which holds ARGV[1] at most and gains ARGV[2] a second.
-- ARGV[3], if given, is taken in place of one; -1 puts one back.
-- Answers 0, or the milliseconds to wait until there is one, and how many are left.
local capacity, rate, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3] or 1)
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'tokens', 'ms')
local tokens = capacity
if held[1] then
  tokens = math.min(capacity, tonumber(held[1]) + math.max(0, ms - tonumber(held[2])) * rate / 1000)
end
local wait = 0
if tokens >= taken then
  tokens = math.min(capacity, tokens - taken)
else
  wait = math.ceil((taken - tokens) * 1000 / rate)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'ms', ms)
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity * 1000 / rate) + 1000)
return {wait, math.floor(tokens)}
