-- Replaces or removes a hold, if it is still what it was.
-- KEYS[1] all holds · ARGV[1] field · ARGV[2] as it was read · ARGV[3] what it
-- becomes, empty to remove it. Returns 1 if it did.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
	return 0
end
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
