-- Renews the mark of a target that is still ours.
-- KEYS[1] target hash · ARGV[1] owner · ARGV[2] how long the mark lasts, ms
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'until', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
return 'ok'
