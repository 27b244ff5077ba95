-- Replaces a record of a schedule, such as its open night, if it is still the one that was read.
-- ARGV: what was read ('' for none), what replaces it ('' to remove it), how long it is kept, ms.
-- Returns 1 if that was done, or 0.
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then
	return 0
end
if ARGV[2] == '' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
