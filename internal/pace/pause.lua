-- Lets no slot of a lane be booked before a pause is over.
-- KEYS[1] when the next slot is free, microseconds · ARGV[1] pause, microseconds
local t = redis.call('TIME')
local free = t[1] * 1000000 + t[2] + ARGV[1]
if tonumber(redis.call('GET', KEYS[1]) or 0) < free then
	redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil(ARGV[1] / 1000) + 1000)
end
return 'ok'
