-- Books calls of all tenants that leave from one address. It returns the earliest time
-- of each; the lane's own booking then uses these times.
-- KEYS[1] the hash of the address
-- ARGV[1] number of calls · ARGV[2] microseconds between two · ARGV[3] how many may
-- leave at once
-- ARGV[4] horizon · ARGV[5] how many of the earlier bookings were not used
-- Returns { now, end of the pause, not before … }; fewer times than requested at the
-- horizon.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local n, step, burst, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local h = redis.call('HMGET', KEYS[1], 'next', 'pause')
local next, pause = tonumber(h[1] or 0) - ARGV[5] * step, tonumber(h[2] or 0)
local out = { now, pause }
for i = 1, n do
	local at = math.max(now, pause, next - burst * step)
	if at > now + horizon then
		break
	end
	next = math.max(next, at) + step
	out[#out + 1] = at
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next))
redis.call('EXPIRE', KEYS[1], 86400)
return out
