-- Removes dead letters. Returns how many there were.
-- The keys are those of bury.lua, the arguments task ids.
local letters, places, times, causes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local removed = 0
for _, task in ipairs(ARGV) do
	local place = redis.call('HGET', places, task)
	if place then
		local member, cause = place:sub(1, 16) .. task, place:sub(17)
		redis.call('HDEL', letters, task)
		redis.call('HDEL', places, task)
		redis.call('ZREM', times, member)
		redis.call('ZREM', causes .. ':' .. cause, member)
		if redis.call('HINCRBY', causes, cause, -1) <= 0 then
			redis.call('HDEL', causes, cause)
		end
		removed = removed + 1
	end
end
return removed
