-- The last look before a send leaves: is the target still ours and the wish
-- still the newest? Marks the fields as in doubt until they are settled.
-- KEYS[1] target hash
-- ARGV[1] owner · ARGV[2] how long the mark lasts, ms · ARGV[3] revision
-- ARGV[4…] field name, mode; and so on
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
	return 'lost'
end
local rev = tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
	if ARGV[i + 1] ~= 'edit' then
		local h = redis.call('HMGET', KEYS[1], 'n:' .. ARGV[i], 'r:' .. ARGV[i])
		if tonumber(h[1] or 0) > rev or tonumber(h[2] or 0) > rev then
			return 'stale'
		end
	end
end
for i = 4, #ARGV, 2 do
	redis.call('HSET', KEYS[1], 'd:' .. ARGV[i], ARGV[3])
end
redis.call('HSET', KEYS[1], 'until', now + ARGV[2])
return 'ok'
