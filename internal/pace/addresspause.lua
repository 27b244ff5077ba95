-- Stops all calls from an address for a while.
-- KEYS[1] the hash of the address · ARGV[1] duration in microseconds
local t = redis.call('TIME')
local till = t[1] * 1000000 + t[2] + math.min(ARGV[1], 3600000000) -- an hour, as in state.lua
if tonumber(redis.call('HGET', KEYS[1], 'pause') or 0) < till then
	redis.call('HSET', KEYS[1], 'pause', string.format('%.0f', till))
end
redis.call('EXPIRE', KEYS[1], 86400)
return 'ok'
