-- Locks a value that can be set once, and releases the lease. Returns 'ok', or 'lost' if
-- another attempt has it.
local target, targets_unknown = KEYS[1], KEYS[2]
local owner, keep_ms, field = ARGV[1], ARGV[2], ARGV[3]
local until_s = ARGV[4] -- Unix s
local why = ' ' .. ARGV[5] -- said by the platform, or unverified, which keeps the unknown outcome
local target_key = ARGV[6]

if redis.call('HGET', target, LEASE_OWNER) ~= owner then
	return 'lost'
end
redis.call('HSET', target, LOCK .. field, until_s .. why)
if why == UNVERIFIED then
	redis.call('ZADD', targets_unknown, 'NX', redis.call('TIME')[1], target_key)
else
	redis.call('HDEL', target, UNKNOWN .. field, INTENT .. field)
end
redis.call('HDEL', target, LEASE_OWNER, LEASE_UNTIL)
redis.call('PEXPIRE', target, keep_ms)
return 'ok'
