-- Records a tick that is due, and that an entry is decided up to a time.
-- KEYS leader, state, ticks, history, open ticks
-- ARGV[1] token of the leader; '' for a person, who changes nothing but the list of ticks
-- ARGV[2] up to when the entry was decided when it was read, s, '' for never · [3] up to when it is now, s · [4] its times
-- ARGV[5] id of the tick, '' for none · [6] its time, s · [7] due or missed
-- ARGV[8] 1: no tick while another is open · [9] number of ticks before it that were missed
-- ARGV[10] person · [11] reason · [12] number of ticks that are kept · [13] how long they are kept, ms
-- Returns what happened, and the open tick that was in the way: added, skipped, missed, there (the tick is recorded
-- already), moved (no tick), busy (another tick is open), lost (another worker leads, or has decided).
local leader, state, ticks, history, open = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[5]
if ARGV[1] ~= '' then
	if redis.call('GET', leader) ~= ARGV[1] or (redis.call('HGET', state, 'until') or '') ~= ARGV[2] then
		return {'lost', ''}
	end
	redis.call('HSET', state, 'until', ARGV[3], 'times', ARGV[4])
end
if id == '' then
	return {'moved', ''}
end
local other = ''
if ARGV[7] == 'due' and ARGV[8] == '1' then
	other = redis.call('ZRANGE', open, 0, 0)[1] or ''
end
if other ~= '' and ARGV[1] == '' then
	return {'busy', other}
end
if redis.call('HEXISTS', ticks, id .. ':state') == 1 then
	return {'there', ''}
end
local clock = redis.call('TIME')
local now = clock[1] .. string.sub('000000' .. clock[2], -6, -4)
local decided, reason = ARGV[7], ARGV[11]
if other ~= '' then
	decided, reason = 'skipped', other .. ' had not ended'
end
redis.call('HSET', ticks, id .. ':state', decided, id .. ':at', ARGV[6], id .. ':added', now,
	id .. ':missed', ARGV[9], id .. ':by', ARGV[10], id .. ':reason', reason)
redis.call('ZADD', history, ARGV[6], id)
if decided == 'due' then
	redis.call('ZADD', open, ARGV[6], id)
	if ARGV[1] ~= '' then
		redis.call('HSET', state, 'last', ARGV[6])
	end
else
	redis.call('HSET', ticks, id .. ':end', now)
end
local many = redis.call('ZCARD', history) - tonumber(ARGV[12])
if many > 0 then
	for _, old in ipairs(redis.call('ZRANGE', history, 0, many - 1)) do
		redis.call('ZREM', open, old)
		redis.call('HDEL', ticks, old .. ':state', old .. ':at', old .. ':added', old .. ':missed', old .. ':by', old .. ':reason',
			old .. ':start', old .. ':end', old .. ':attempts', old .. ':worker', old .. ':result')
	end
	redis.call('ZREMRANGEBYRANK', history, 0, many - 1)
end
for _, key in ipairs({ticks, history, open}) do
	redis.call('PEXPIRE', key, ARGV[13])
end
if decided == 'due' then
	return {'added', ''}
end
return {decided, other}
