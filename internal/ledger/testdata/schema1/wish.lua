-- Marks a revision as the newest wish for fields of a target.
-- KEYS[1] target hash · ARGV[1] keep, ms · ARGV[2] revision · ARGV[3…] field names
local rev = tonumber(ARGV[2])
for i = 3, #ARGV do
	local newest = tonumber(redis.call('HGET', KEYS[1], 'n:' .. ARGV[i]) or 0)
	if rev > newest then
		redis.call('HSET', KEYS[1], 'n:' .. ARGV[i], ARGV[2])
	end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'ok'
