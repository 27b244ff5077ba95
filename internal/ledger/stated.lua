-- Records values that a file states, of targets of which nothing is known: no call was made.
local targets = KEYS[1] -- all targets, by the time when they were confirmed last, Unix s
local FIRST_KEY = 2
local keep_ms = ARGV[1]
-- Then key, revision, field and value of each target.
local at = 2

for k = FIRST_KEY, #KEYS do
	local target = KEYS[k]
	local target_key, revision, name, value = unpack(ARGV, at, at + 3)
	at = at + 4
	local held = redis.call('HMGET', target, LEASE_OWNER, LATEST .. name, APPLIED .. name, UNKNOWN .. name)
	if not (held[1] or held[2] or held[3] or held[4]) then
		redis.call('HSET', target, APPLIED .. name, revision, APPLIED_VALUE .. name, value, EVIDENCE .. name, STATED)
		redis.call('PEXPIRE', target, keep_ms)
		redis.pcall('ZADD', targets, 'NX', 0, target_key)
	end
end
return 'ok'
