-- Writes a dead letter down, once a task.
-- KEYS[1] letters · KEYS[2] places · KEYS[3] all by time · KEYS[4] counts by
-- cause; the letters of one cause by time are in KEYS[4]:<cause>
-- ARGV[1] task id · ARGV[2] the letter · ARGV[3] its time, 16 digits
-- ARGV[4] its cause · ARGV[5] 'replace' to write over one that is there
-- Returns 1 if there was none.
local member = ARGV[3] .. ARGV[1]
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
	if ARGV[5] ~= 'replace' then
		return 0
	end
	local old, cause = before:sub(1, 16) .. ARGV[1], before:sub(17)
	redis.call('ZREM', KEYS[3], old)
	redis.call('ZREM', KEYS[4] .. ':' .. cause, old)
	if redis.call('HINCRBY', KEYS[4], cause, -1) <= 0 then
		redis.call('HDEL', KEYS[4], cause)
	end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. ARGV[4])
redis.call('ZADD', KEYS[3], 0, member)
redis.call('ZADD', KEYS[4] .. ':' .. ARGV[4], 0, member)
redis.call('HINCRBY', KEYS[4], ARGV[4], 1)
return before and 0 or 1
