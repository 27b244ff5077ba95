-- Reads some targets of an organisation's API and what their hashes hold of values and revisions. Returns the next cursor,
-- and for each target its key, its score and { entry, value, … }; a text instead of that if it cannot be read.
local index = KEYS[1]
local prefix, cursor, count = ARGV[1], ARGV[2], ARGV[3] -- a target's hash has the prefix and its key

local wanted = { [LAST_REVISION] = true, [LATEST] = true, [LATEST_TASK] = true, [APPLIED] = true, [APPLIED_VALUE] = true, [WANTED_VALUE] = true, [UNKNOWN] = true }
local step = redis.call('ZSCAN', index, cursor, 'COUNT', count)
local answer = { step[1] }
for i = 1, #step[2], 2 do
	local entries, kept = redis.pcall('HGETALL', prefix .. step[2][i]), {}
	if entries.err then
		kept = 'damaged'
	else
		for k = 1, #entries, 2 do
			if wanted[entries[k]:match('^[^:]*:?')] then
				kept[#kept + 1] = entries[k]
				kept[#kept + 1] = entries[k + 1]
			end
		end
	end
	answer[#answer + 1] = step[2][i]
	answer[#answer + 1] = step[2][i + 1]
	answer[#answer + 1] = kept
end
return answer
