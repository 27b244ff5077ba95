-- Removes dead letters.
-- KEYS as in bury.lua · ARGV task ids
-- Returns how many were there.
local removed = 0
for i = 1, #ARGV do
	local before = redis.call('HGET', KEYS[2], ARGV[i])
	if before then
		local member, cause = before:sub(1, 16) .. ARGV[i], before:sub(17)
		redis.call('HDEL', KEYS[1], ARGV[i])
		redis.call('HDEL', KEYS[2], ARGV[i])
		redis.call('ZREM', KEYS[3], member)
		redis.call('ZREM', KEYS[4] .. ':' .. cause, member)
		if redis.call('HINCRBY', KEYS[4], cause, -1) <= 0 then
			redis.call('HDEL', KEYS[4], cause)
		end
		removed = removed + 1
	end
end
return removed
