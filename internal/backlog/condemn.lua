-- Archives an active task whose worker is gone, unless it moved meanwhile.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] the archive · KEYS[4] the task's hash
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
-- ARGV[3] what is added to its message, in the form of messages
-- Returns whether it was archived. asynq cuts the archive to its bounds at the
-- next task that it archives by itself.
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
-- A person who has it run again begins anew.
redis.call('HDEL', KEYS[4], 'rollcall_kills')
return 1
