-- Notes the schema of a worker that begins, unless it is too old for what is there.
-- Returns { version, the oldest that can work together with it } as they are now.
local schema = KEYS[1]
local own, own_oldest = tonumber(ARGV[1]), tonumber(ARGV[2])

local held = redis.call('HMGET', schema, 'version', 'oldest')
local version, oldest = tonumber(held[1] or 0), tonumber(held[2] or 0)
if own >= oldest and own > version then
	version, oldest = own, math.max(oldest, own_oldest)
	redis.call('HSET', schema, 'version', version, 'oldest', oldest)
end
return { version, oldest }
