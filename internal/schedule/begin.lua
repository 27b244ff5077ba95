-- Begins an attempt at a tick, if it may run.
-- KEYS state, ticks, history, open ticks, lease of the worker that executes a tick of the entry
-- ARGV[1] id of the tick · [2] its time, s · [3] how late its first attempt may begin, s; '' without a bound, and also while
-- the entry is paused · [4] worker · [5] how long ticks are kept, ms · [6] token of the lease · [7] its life, ms
-- Returns run and the number of the attempt, or why it does not run: over and the state in which it ended; skipped;
-- missed; busy, the earlier tick that is open, and the state of that one; '' for both if the lease is taken.
local state, ticks, history, open, running = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[1]
local record = redis.call('HMGET', ticks, id .. ':state', id .. ':start')
if record[1] == 'done' or record[1] == 'skipped' or record[1] == 'missed' then
	return {'over', record[1]}
end
local clock = redis.call('TIME')
local now = clock[1] .. string.sub('000000' .. clock[2], -6, -4)
if not record[1] then -- an older worker enqueued it, or Redis lost its record
	redis.call('HSET', ticks, id .. ':at', ARGV[2], id .. ':added', now)
	redis.call('ZADD', history, ARGV[2], id)
	redis.call('PEXPIRE', ticks, ARGV[5])
	redis.call('PEXPIRE', history, ARGV[5])
end
if not record[2] and ARGV[3] ~= '' then
	local verdict, why = '', ''
	if redis.call('HEXISTS', state, 'paused') == 1 then
		verdict, why = 'skipped', 'the schedule was paused before it began'
	elseif tonumber(clock[1]) - tonumber(ARGV[2]) > tonumber(ARGV[3]) then
		verdict, why = 'missed', 'no worker began it in time'
	end
	if verdict ~= '' then
		redis.call('HSET', ticks, id .. ':state', verdict, id .. ':reason', why, id .. ':end', now)
		redis.call('ZREM', open, id)
		return {verdict, why}
	end
end
if not record[1] then
	redis.call('HSET', ticks, id .. ':state', 'waiting')
end
redis.call('ZADD', open, ARGV[2], id) -- again, if a person runs a dead letter
redis.call('PEXPIRE', open, ARGV[5])
for _, other in ipairs(redis.call('ZRANGE', open, 0, -1)) do
	if other == id then
		break
	end
	local other_state = redis.call('HGET', ticks, other .. ':state') or ''
	if other_state ~= 'retrying' then
		return {'busy', other, other_state}
	end
end
local holder = redis.call('GET', running)
if holder and holder ~= ARGV[6] then
	-- One without an end is not ours. Redis below 7 cannot end it.
	redis.pcall('PEXPIRE', running, ARGV[7], 'LT')
	return {'busy', '', ''}
end
redis.call('SET', running, ARGV[6], 'PX', ARGV[7])
redis.call('HSET', ticks, id .. ':state', 'running', id .. ':worker', ARGV[4])
redis.call('HSETNX', ticks, id .. ':start', now)
redis.call('HDEL', ticks, id .. ':end', id .. ':result')
return {'run', tostring(redis.call('HINCRBY', ticks, id .. ':attempts', 1))}
