-- Notes how far a task has come, and clears doubts that a clear answer settled.
-- The target stays ours.
-- KEYS[1] target hash · ARGV[1] owner · ARGV[2] field of the note · ARGV[3] note
-- ARGV[4…] fields to remove
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
for i = 4, #ARGV do
	redis.call('HDEL', KEYS[1], ARGV[i])
end
return 'ok'
