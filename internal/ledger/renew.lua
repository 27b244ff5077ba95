-- Renews the lease of a target. Returns 'ok', or 'lost' if another attempt has it.
local target = KEYS[1]
local owner, lease_ms = ARGV[1], ARGV[2]

if redis.call('HGET', target, LEASE_OWNER) ~= owner then
	return 'lost'
end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', target, LEASE_UNTIL, now_ms + lease_ms)
return 'ok'
