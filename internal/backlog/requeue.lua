-- Makes a task pending again whose worker is gone, and counts that its worker
-- died with it; unless it moved meanwhile, or has lost so many that it must not
-- run again.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] pending list · KEYS[4] the task's hash
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
-- ARGV[3] since when it was seen so, µs · ARGV[4] how many workers are too many
-- ARGV[5] when the last of them is forgotten, µs after it
-- Returns 0 for one that moved, 1 for one that is pending, 2 for one that must
-- not run again; how many workers it has lost; when it lost the first, and what
-- time it is, µs.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) ~= tonumber(ARGV[2]) then
	return { 0, 0, 0, 0 }
end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local kills, first, last = (redis.call('HGET', KEYS[4], 'rollcall_kills') or ''):match('^(%d+) (%d+) (%d+)$')
kills, first, last = tonumber(kills) or 0, tonumber(first) or now, tonumber(last)
-- It was put back and taken anew since, and its lease is the same by chance.
if last and last > tonumber(ARGV[3]) then
	return { 0, kills, first, now }
end
if last and now - last > tonumber(ARGV[5]) then
	kills, first = 0, now
end
kills = kills + 1
if kills >= tonumber(ARGV[4]) then
	if not redis.call('LPOS', KEYS[1], ARGV[1]) then
		return { 0, kills, first, now }
	end
	return { 2, kills, first, now }
end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
	return { 0, kills, first, now }
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[4], 'state', 'pending', 'pending_since', string.format('%.0f', now * 1000),
	'rollcall_kills', string.format('%d %.0f %.0f', kills, first, now))
return { 1, kills, first, now }
