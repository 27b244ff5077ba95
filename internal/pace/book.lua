-- Books the next slot of a lane on Redis' clock.
-- KEYS[1] when the next slot is free, microseconds
-- ARGV[1] microseconds between slots · ARGV[2] how far ahead may be booked
-- Returns {1, wait} when booked, {0, wait} when the lane is booked out: ask
-- again after that wait. Waits are in microseconds.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local free = tonumber(redis.call('GET', KEYS[1]) or 0)
if free < now then
	free = now
end
local wait = free - now
if wait > tonumber(ARGV[2]) then
	return { 0, wait - ARGV[2] }
end
local ahead = wait + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1000)
return { 1, wait }
