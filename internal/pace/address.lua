-- Books calls of all tenants that leave from one address. It returns the earliest time
-- of each; the lane's own booking then uses these times.
-- KEYS[1] the hash of the address
-- ARGV[1] number of calls · ARGV[2] microseconds between two · ARGV[3] how many may
-- leave at once
-- ARGV[4] horizon · ARGV[5] how many of the earlier bookings were not used
-- Returns { now, end of the pause, 1 if values were dropped: no numbers, or too far ahead,
-- not before … }; fewer times than requested at the horizon.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local n, step, burst, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local LONGEST_PAUSE, SET_BACK = 3600000000, 1000000 -- as in state.lua

local dropped = 0
local function number(value)
	if not value then
		return 0
	elseif #value <= 17 and string.match(value, '^-?%d+$') then
		return tonumber(value)
	end
	dropped = 1
	return 0
end
local h = redis.call('HMGET', KEYS[1], 'next', 'pause', 'clock')
local next, pause, back = number(h[1]) - ARGV[5] * step, number(h[2]), number(h[3]) - now
if back > SET_BACK then -- the clock was set back, and takes all times with it
	next, pause = next - back, pause - back
end
if dropped == 1 then
	next = now + horizon
end
if pause > now + LONGEST_PAUSE + horizon then
	pause, dropped = 0, 1
end
-- Another worker may have another limit.
if next > now + 2 * (horizon + (burst + 1) * step) + 1000000 then
	next, dropped = now + horizon, 1
end
local out = { now, pause, dropped }
for i = 1, n do
	local at = math.max(now, pause, next - burst * step)
	if at > now + horizon then
		break
	end
	next = math.max(next, at) + step
	out[#out + 1] = at
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next), 'clock', string.format('%.0f', now))
if back > SET_BACK or dropped == 1 then
	redis.call('HSET', KEYS[1], 'pause', string.format('%.0f', math.max(0, pause)))
end
redis.call('EXPIRE', KEYS[1], 86400)
return out
