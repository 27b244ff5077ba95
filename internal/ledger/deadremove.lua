-- Removes dead letters. Returns how many there were.
-- The keys are those of deadadd.lua, the arguments task ids.
local bodies, positions, times, causes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local removed = 0
for _, task in ipairs(ARGV) do
	local position = redis.call('HGET', positions, task)
	if position then
		local member, cause = position:sub(1, 16) .. task, position:sub(17)
		redis.call('HDEL', bodies, task)
		redis.call('HDEL', positions, task)
		redis.call('ZREM', times, member)
		redis.call('ZREM', causes .. ':' .. cause, member)
		if redis.call('HINCRBY', causes, cause, -1) <= 0 then
			redis.call('HDEL', causes, cause)
		end
		removed = removed + 1
	end
end
return removed
