-- Takes a task from a queue as asynq's own script does (v0.26), unless its key has another
-- type or its message is too long to be a task: then it is left active without a lease,
-- where a sweep finds it.
-- KEYS pending list, pause, active list, leases · ARGV[1] end of the lease, Unix s
-- ARGV[2] prefix of the keys of tasks · ARGV[3] bytes of the longest message
-- Returns the message; nil for none.
if redis.call('EXISTS', KEYS[2]) == 1 then
	return nil
end
redis.call('ZSCORE', KEYS[4], '') -- fails before the task moves if the key has another type
local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[3])
if not id then
	return nil
end
local task = ARGV[2] .. id
if redis.call('TYPE', task).ok ~= 'hash' or redis.call('HSTRLEN', task, 'msg') > tonumber(ARGV[3]) then
	return nil
end
redis.call('HSET', task, 'state', 'active')
redis.call('HDEL', task, 'pending_since')
redis.call('ZADD', KEYS[4], ARGV[1], id)
return redis.call('HGET', task, 'msg')
