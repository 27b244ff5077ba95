-- Reads the counts by cause of several lanes, which are on one node. Returns for each lane { cause, number, … }, and
-- { 'damaged' } for a key of another type.
local answer = {}
for i, causes in ipairs(KEYS) do
	local counts = redis.pcall('HGETALL', causes)
	if counts.err then
		counts = { 'damaged' }
	end
	answer[i] = counts
end
return answer
