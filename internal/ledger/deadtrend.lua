-- Reads how many dead letters of one cause there are, the oldest, the newest, and how many died in each period.
local bodies, index = KEYS[1], KEYS[2] -- the index lists members by time
-- ARGV are the times between which the periods are, from early to late. A period includes its beginning.

local oldest = redis.call('ZRANGE', index, 0, 0)[1]
if not oldest then
	return {}
end
local newest = redis.call('ZREVRANGE', index, 0, 0)[1]
local answer = { oldest, newest, redis.call('HGET', bodies, newest:sub(17)) or '' }
for i = 1, #ARGV - 1 do
	answer[#answer + 1] = tostring(redis.call('ZLEXCOUNT', index, '[' .. ARGV[i], '(' .. ARGV[i + 1]))
end
return answer
