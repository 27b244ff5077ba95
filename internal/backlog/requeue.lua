-- Makes a task of a dead worker pending again, and counts the death, unless the task
-- moved since it was seen or has lost so many workers that it must not run again.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] pending list · KEYS[4] hash of the
-- task
-- ARGV[1] its id · ARGV[2] the lease it was seen with, '' for none
-- ARGV[3] since when it was seen with it, µs · ARGV[4] how many deaths are too many
-- ARGV[5] how long after the last death the deaths are forgotten, µs
-- Returns 0 if it moved, 1 if it is pending, 2 if it must not run again; the number of
-- deaths; the time of the first one and the current time, µs.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) ~= tonumber(ARGV[2]) then
	return { 0, 0, 0, 0 }
end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local kills, first, last = (redis.call('HGET', KEYS[4], 'rollcall_kills') or ''):match('^(%d+) (%d+) (%d+)$')
kills, first, last = tonumber(kills) or 0, tonumber(first) or now, tonumber(last)
-- It was requeued and taken again since, and by chance has the same lease.
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
