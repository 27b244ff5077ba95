-- Removes ids without a task from the lists of a queue.
-- KEYS pending list, then the sorted sets · ARGV[1] prefix of the keys of tasks
-- ARGV[2] position in each list · ARGV[3] how many ids to check there · ARGV[4] how
-- many at its head
-- Returns the next position, 0 for the head, and for each removed id the number of its
-- key and the id.
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
	for _, id in ipairs(ids) do
		if redis.call('EXISTS', ARGV[1] .. id) == 0 then
			local n = i == 1 and redis.call('LREM', key, 0, id) or redis.call('ZREM', key, id)
			if n > 0 then
				removed[#removed + 1] = i
				removed[#removed + 1] = id
			end
		end
	end
end
return { next, unpack(removed) }
