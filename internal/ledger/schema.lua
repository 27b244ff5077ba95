-- Says that a worker of a schema works here, unless it is too old for what is here.
-- KEYS[1] the schema · ARGV[1] the worker's · ARGV[2] the oldest that can live with it
-- Returns { version, oldest that can live with it } as they are now.
local h = redis.call('HMGET', KEYS[1], 'version', 'oldest')
local version, oldest = tonumber(h[1] or 0), tonumber(h[2] or 0)
local own = tonumber(ARGV[1])
if own >= oldest and own > version then
	version, oldest = own, math.max(oldest, tonumber(ARGV[2]))
	redis.call('HSET', KEYS[1], 'version', version, 'oldest', oldest)
end
return { version, oldest }
