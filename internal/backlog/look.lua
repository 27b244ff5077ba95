-- Lists the active tasks of a queue with their leases.
-- KEYS[1] active list · KEYS[2] leases
-- Returns the time in µs, and then for each task its id and its lease, '' for none.
local t = redis.call('TIME')
local found = { t[1] * 1000000 + t[2] }
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
	found[#found + 1] = id
	found[#found + 1] = redis.call('ZSCORE', KEYS[2], id) or ''
end
return found
