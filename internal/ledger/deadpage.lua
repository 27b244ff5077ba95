-- Reads a page of dead letters, newest first.
-- KEYS[1] letters · KEYS[2] an index of them by time
-- ARGV[1] upper end · ARGV[2] lower end · ARGV[3] how many at most
-- Returns { member of the index, letter, … }.
local out = {}
for _, member in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
	out[#out + 1] = member
	out[#out + 1] = redis.call('HGET', KEYS[1], member:sub(17)) or ''
end
return out
