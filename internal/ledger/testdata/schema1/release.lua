-- Lets a target go without an effect. The doubt of the named fields is cleared:
-- the caller knows that its own sends changed nothing.
-- KEYS[1] target hash · ARGV[1] owner · ARGV[2…] field names
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
for i = 2, #ARGV do
	redis.call('HDEL', KEYS[1], 'd:' .. ARGV[i])
end
redis.call('HDEL', KEYS[1], 'own', 'until')
return 'ok'
