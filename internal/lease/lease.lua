-- Changes a key if it still has the value that the caller knows.
--    KEYS[1] the key · ARGV[1] its value as the caller knows it
--    ARGV[2] the new value; '' deletes the key · ARGV[3] how long it is kept from now, ms
--    Returns 1, or 0 if the key has another value.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if ARGV[2] == '' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
