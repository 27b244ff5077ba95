-- Reads queues, seven keys each: pending, active, scheduled, retry, archived, completed, paused.
-- ARGV[1] now, Unix s · ARGV[2] how many pending tasks are read for their age
-- Returns for each queue { the lengths of the first six, 1 if it is paused, the scheduled tasks that are due, the times
-- since which tasks are pending … }, and { name of the key } if one has another type.
local names = { 'pending', 'active', 'scheduled', 'retry', 'archived', 'completed' }
local lengths = { 'LLEN', 'LLEN', 'ZCARD', 'ZCARD', 'ZCARD', 'ZCARD' }
local answers = {}
for first = 1, #KEYS, 7 do
	local queue = {}
	for i, length in ipairs(lengths) do
		local n = redis.pcall(length, KEYS[first + i - 1])
		if type(n) == 'table' then
			queue = { names[i] }
			break
		end
		queue[i] = n
	end
	if #queue > 1 then
		queue[7] = redis.call('EXISTS', KEYS[first + 6])
		queue[8] = queue[3] > 0 and redis.call('ZCOUNT', KEYS[first + 2], '-inf', ARGV[1]) or 0
		if queue[1] > 0 then
			local task = string.sub(KEYS[first], 1, -8) .. 't:' -- without "pending"
			for _, id in ipairs(redis.call('LRANGE', KEYS[first], -ARGV[2], -1)) do
				local since = redis.pcall('HGET', task .. id, 'pending_since')
				if type(since) == 'string' then
					queue[#queue + 1] = since
				end
			end
		end
	end
	answers[#answers + 1] = queue
end
return answers
