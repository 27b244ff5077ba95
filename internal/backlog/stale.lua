-- Removes ids from the lists of a queue that have no task, or one whose key has another
-- type: asynq fails at it again and again, and at all tasks behind it.
-- KEYS pending list, then the sorted sets · ARGV[1] prefix of the keys of tasks
-- ARGV[2] position in each list · ARGV[3] how many ids to check there · ARGV[4] how
-- many at its head
-- Returns the next position, 0 for the head, and for each removed id the number of its
-- key, the id, and the type that its key has, 'none' for no key.
local from, count, head = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local removed, next = {}, 0
for i, key in ipairs(KEYS) do
	local range = i == 1 and 'LRANGE' or 'ZRANGE'
	local ids = redis.call(range, key, from, from + count - 1)
	if #ids == count then
		next = from + count
	end
	if from > 0 then
		for _, id in ipairs(redis.call(range, key, 0, head - 1)) do
			ids[#ids + 1] = id
		end
	end
	if i == 1 then -- tasks are taken from the end
		for _, id in ipairs(redis.call(range, key, -head, -1)) do
			ids[#ids + 1] = id
		end
	end
	for _, id in ipairs(ids) do
		local kind = redis.call('TYPE', ARGV[1] .. id).ok
		if kind ~= 'hash' then
			local n = i == 1 and redis.call('LREM', key, 0, id) or redis.call('ZREM', key, id)
			if n > 0 then
				removed[#removed + 1] = i
				removed[#removed + 1] = id
				removed[#removed + 1] = kind
			end
		end
	end
end
return { next, unpack(removed) }
