-- Notes that tasks were stored: opens a record for each, which its end closes, and
-- marks the newest wishes.
-- KEYS[1] records of open tasks · KEYS[2] runs by time; then three a task: its
-- target hash, its run (KEYS[1] for none), whether it has ended
-- ARGV[1] how long a hash is kept, ms · ARGV[2] how long a run is, ms; then for
-- each task: id · revision · record · 1 if it may be the newest wish · 1 if it is
-- about a single value, of which older tasks need no record · name of its run,
-- '' for none · row · how many fields · their names
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local i = 3
for k = 3, #KEYS, 3 do
	local target, run = KEYS[k], KEYS[k + 1]
	local id, text, record, newest, single = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3] == '1', ARGV[i + 4] == '1'
	local name, row, count = ARGV[i + 5], ARGV[i + 6], tonumber(ARGV[i + 7])
	i = i + 8
	local rev = tonumber(text)
	-- The worker may have been faster: what has ended is not opened again.
	local ended = count > 0
	for f = i, i + count - 1 do
		local field = ARGV[f]
		local h = redis.call('HMGET', target, 'n:' .. field, 'r:' .. field, 't:' .. field)
		local known = tonumber(h[1] or 0)
		if tonumber(h[2] or 0) < rev and not (single and newest and known > rev) then
			ended = false
		end
		-- A task that is stored again, with its old revision, has another id.
		if newest and rev >= known then
			redis.call('HSET', target, 'n:' .. field, text, 't:' .. field, id)
			if single and h[3] and h[3] ~= id then
				redis.call('HDEL', KEYS[1], h[3])
			end
		end
	end
	i = i + count
	ended = ended or redis.call('EXISTS', KEYS[k + 2]) == 1
	if not ended then
		redis.call('HSET', KEYS[1], id, record)
	end
	redis.call('PEXPIRE', target, ARGV[1])
	if name ~= '' then
		local was = redis.call('GETRANGE', run, row, row)
		if was == '' or was == '\0' or was == 'd' and not ended then
			redis.call('SETRANGE', run, row, 'w')
		end
		redis.call('PEXPIRE', run, ARGV[2])
		redis.call('ZADD', KEYS[2], 'NX', now, name)
		redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2])
	end
end
return 'ok'
