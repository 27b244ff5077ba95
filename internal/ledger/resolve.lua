-- A person settles a doubt about a value that can be set once.
-- KEYS[1] target hash · KEYS[2] its effects · KEYS[3] targets in doubt
-- KEYS[4] when a value that is set once was last applied
-- ARGV[1] field name · ARGV[2] confirm or reject · ARGV[3] keep, ms
-- ARGV[4] the target's key · ARGV[5] how long a value stays locked, s
-- ARGV[6] who the person is · ARGV[7] how long KEYS[4] is kept, ms
-- Returns {'ok', value, task id}, {'none'} or {'busy'}.
local t = redis.call('TIME')
local mark = redis.call('HMGET', KEYS[1], 'own', 'until')
if mark[1] and tonumber(mark[2]) > t[1] * 1000 + math.floor(t[2] / 1000) then
	return { 'busy' }
end
local name = ARGV[1]
local h = redis.call('HMGET', KEYS[1], 'd:' .. name, 'i:' .. name, 'r:' .. name)
if not h[1] then
	return { 'none' }
end
local at, rev, id, value = (h[2] or ''):match('^%d+ (%d+) (%d+) (%S+) (.*)$')
value, rev = value or '', rev or h[1]
if ARGV[2] == 'confirm' then
	if tonumber(rev) > tonumber(h[3] or 0) then
		redis.call('HSET', KEYS[1], 'r:' .. name, rev)
	end
	local set = at and math.floor(at / 1000) or tonumber(t[1])
	redis.call('HSET', KEYS[1], 'v:' .. name, value, 'l:' .. name, string.format('%.0f', set + ARGV[5]) .. ' applied')
	redis.call('HDEL', KEYS[1], 'w:' .. name)
	redis.call('SET', KEYS[4], t[1], 'PX', ARGV[7])
else
	redis.call('HDEL', KEYS[1], 'l:' .. name)
end
redis.call('HDEL', KEYS[1], 'd:' .. name, 'i:' .. name, 'own', 'until')
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('LPUSH', KEYS[2], t[1] .. ' ' .. cjson.encode({ by = ARGV[6], did = ARGV[2], task = id, set = { [name] = value } }))
redis.call('LTRIM', KEYS[2], 0, 9)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { 'ok', value, id or '' }
