-- Moves a tick to another state.
-- KEYS ticks, open ticks
-- ARGV[1] id · [2] state that it must have · [3] number of its last attempt, '' for any · [4] new state · [5] result
-- ARGV[6] 1: it has ended
-- Returns 1 if it moved.
local ticks, open = KEYS[1], KEYS[2]
local id = ARGV[1]
local record = redis.call('HMGET', ticks, id .. ':state', id .. ':attempts')
if record[1] ~= ARGV[2] or (ARGV[3] ~= '' and record[2] ~= ARGV[3]) then
	return 0
end
redis.call('HSET', ticks, id .. ':state', ARGV[4])
if ARGV[5] ~= '' then
	redis.call('HSET', ticks, id .. ':result', ARGV[5])
end
if ARGV[6] == '1' then
	local clock = redis.call('TIME')
	redis.call('HSET', ticks, id .. ':end', clock[1] .. string.sub('000000' .. clock[2], -6, -4))
	redis.call('ZREM', open, id)
end
return 1
