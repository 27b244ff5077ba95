-- Pauses or resumes an entry.
-- KEYS state · ARGV[1] pause or resume · [2] person · [3] reason
-- Returns 1 if the entry was paused before.
local state = KEYS[1]
local clock = redis.call('TIME')
local was = redis.call('HEXISTS', state, 'paused')
if ARGV[1] == 'pause' then
	redis.call('HSET', state, 'paused_by', ARGV[2], 'paused_reason', ARGV[3])
	redis.call('HSETNX', state, 'paused', clock[1])
elseif was == 1 then
	-- Ticks of the pause are not missed ticks.
	redis.call('HDEL', state, 'paused', 'paused_by', 'paused_reason')
	redis.call('HSET', state, 'until', clock[1])
end
return was
