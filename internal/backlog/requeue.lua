-- Makes a task pending again whose worker is gone, unless it moved meanwhile.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] pending list · KEYS[4] the task's hash
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) ~= tonumber(ARGV[2]) then
	return 0
end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
	return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[1])
local t = redis.call('TIME')
redis.call('HSET', KEYS[4], 'state', 'pending', 'pending_since', string.format('%.0f', t[1] * 1000000000 + t[2] * 1000))
return 1
