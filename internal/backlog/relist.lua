-- Makes a task pending that no list of its queue holds, or that waits for a time that
-- cannot be meant, unless a worker has renewed its lease since it was seen. Returns 1 if
-- it did.
-- KEYS pending list, active list, scheduled, retry, leases, hash of the task
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
local pending, active, scheduled, retry, leases, task = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id = ARGV[1]
local WEEK, YEARS = 7 * 24 * 3600, 10 * 365 * 24 * 3600 -- as in unlisted.lua

local t = redis.call('TIME')
local lease = redis.call('ZSCORE', leases, id)
if lease and tonumber(lease) ~= tonumber(ARGV[2]) then
	return 0
end
if redis.call('TYPE', task).ok ~= 'hash' then
	return 0
end
local state = redis.call('HGET', task, 'state')
if state == 'completed' or state == 'archived' or redis.call('LPOS', active, id) or redis.call('LPOS', pending, id) then
	return 0
end
for key, most in pairs({ [scheduled] = YEARS, [retry] = WEEK }) do
	local at = redis.call('ZSCORE', key, id)
	if at and tonumber(at) and tonumber(at) <= t[1] + most then
		return 0
	end
end
redis.call('ZREM', scheduled, id)
redis.call('ZREM', retry, id)
redis.call('ZREM', leases, id)
redis.call('RPUSH', pending, id)
redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%.0f', (t[1] * 1000000 + t[2]) * 1000))
return 1
