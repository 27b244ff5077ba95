-- Writes down what was applied, clears the doubt and lets the target go.
-- KEYS[1] target hash
-- ARGV[1] owner · ARGV[2] keep, ms · ARGV[3] revision · ARGV[4] request id
-- ARGV[5…] field name, mode, value, and the value wished for if that was
-- another, else ''; and so on
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
local t = redis.call('TIME')
for i = 5, #ARGV, 4 do
	local name, mode, value, wished = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local applied = tonumber(redis.call('HGET', KEYS[1], 'r:' .. name) or 0)
	if tonumber(ARGV[3]) > applied then
		redis.call('HSET', KEYS[1], 'r:' .. name, ARGV[3])
	end
	if mode == 'value' then
		redis.call('HSET', KEYS[1], 'v:' .. name, value)
		-- The same wish again is fulfilled, though it was not taken to the letter.
		if wished ~= '' then
			redis.call('HSET', KEYS[1], 'w:' .. name, wished)
		else
			redis.call('HDEL', KEYS[1], 'w:' .. name)
		end
	end
	redis.call('HDEL', KEYS[1], 'd:' .. name)
end
redis.call('HSET', KEYS[1], 'rid', ARGV[4], 'at', t[1])
redis.call('HDEL', KEYS[1], 'own', 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'ok'
