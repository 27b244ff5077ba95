-- Reads a page of dead letters, the newest first. Returns { member, dead letter, … }.
local bodies, index = KEYS[1], KEYS[2] -- the index lists members by time
local upper, lower, count = ARGV[1], ARGV[2], ARGV[3]

local page = {}
for _, member in ipairs(redis.call('ZREVRANGEBYLEX', index, upper, lower, 'LIMIT', 0, count)) do
	page[#page + 1] = member
	page[#page + 1] = redis.call('HGET', bodies, member:sub(17)) or ''
end
return page
