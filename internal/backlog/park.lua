-- Removes an active task whose key has another type from the active tasks. The key stays.
-- Returns 1 if it did.
-- KEYS active list, leases, key of the task · ARGV[1] its id
local kind = redis.call('TYPE', KEYS[3]).ok
if kind == 'hash' or kind == 'none' then
	return 0
end
redis.call('LREM', KEYS[1], 0, ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
