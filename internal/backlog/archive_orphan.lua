-- Archives an active task of a dead worker, unless it moved since it was seen.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] archive · KEYS[4] hash of the task
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
-- ARGV[3] bytes that are appended to its message
-- Returns whether it was archived. asynq trims the archive to its bounds at the next
-- task that it archives.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) ~= tonumber(ARGV[2]) then
	return 0
end
local message = redis.call('HGET', KEYS[4], 'msg')
if not message or redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
	return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[4], 'state', 'archived', 'msg', message .. ARGV[3])
-- If a person runs it again, the count starts from zero.
redis.call('HDEL', KEYS[4], 'rollcall_kills')
return 1
