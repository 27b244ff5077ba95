-- The last look before a send that cannot be taken back. Writes down what is
-- about to be sent, and how often it then was.
-- KEYS[1] target hash
-- ARGV[1] owner · ARGV[2] how long the mark lasts, ms · ARGV[3] revision
-- ARGV[4] field name · ARGV[5] task id · ARGV[6] value · ARGV[7] keep, ms
-- ARGV[8] 1: the send before was refused unread and does not count
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
local name, rev = ARGV[4], tonumber(ARGV[3])
local h = redis.call('HMGET', KEYS[1], 'n:' .. name, 'r:' .. name, 'd:' .. name, 'i:' .. name)
if tonumber(h[1] or 0) > rev or tonumber(h[2] or 0) > rev then
	return 'stale'
end
local sends = 1
if h[3] then
	local before, value = (h[4] or ''):match('^(%d+) %d+ %d+ %S+ (.*)$')
	if value ~= ARGV[6] then
		return 'other' -- what is in doubt is another value
	end
	sends = ARGV[8] == '1' and tonumber(before) or before + 1
end
redis.call('HSET', KEYS[1], 'd:' .. name, ARGV[3], 'until', now + ARGV[2],
	'i:' .. name, sends .. ' ' .. now .. ' ' .. ARGV[3] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return 'ok'
