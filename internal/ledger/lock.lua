-- Locks a value that can be set once, and lets the target go.
-- KEYS[1] target hash · KEYS[2] targets in doubt
-- ARGV[1] owner · ARGV[2] keep, ms · ARGV[3] field name · ARGV[4] until, Unix s
-- ARGV[5] why: said (by the platform) or unverified (the doubt stays)
-- ARGV[6] the target's key
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
redis.call('HSET', KEYS[1], 'l:' .. ARGV[3], ARGV[4] .. ' ' .. ARGV[5])
if ARGV[5] == 'unverified' then
	redis.call('ZADD', KEYS[2], 'NX', redis.call('TIME')[1], ARGV[6])
else
	redis.call('HDEL', KEYS[1], 'd:' .. ARGV[3], 'i:' .. ARGV[3])
end
redis.call('HDEL', KEYS[1], 'own', 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'ok'
