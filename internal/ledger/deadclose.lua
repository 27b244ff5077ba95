-- Closes a dead letter: removes it, and keeps a record of that. Returns 1 if it was
-- there. One that was written again since it was read stays.
local bodies, positions, times, causes = KEYS[1], KEYS[2], KEYS[3], KEYS[4] -- as in deadadd.lua
local closed = KEYS[5] -- the closed dead letters of the lane, the newest first

local task = ARGV[1]
local position = ARGV[2] -- of the dead letter: its time, 16 digits, and its cause
local record, kept, kept_ms = ARGV[3], ARGV[4], ARGV[5] -- kept: how many records

if redis.call('HGET', positions, task) ~= position then
	return 0
end
local member, cause = position:sub(1, 16) .. task, position:sub(17)
redis.call('HDEL', bodies, task)
redis.call('HDEL', positions, task)
redis.call('ZREM', times, member)
redis.call('ZREM', causes .. ':' .. cause, member)
if redis.call('HINCRBY', causes, cause, -1) <= 0 then
	redis.call('HDEL', causes, cause)
end
redis.call('LPUSH', closed, record)
redis.call('LTRIM', closed, 0, kept - 1)
redis.call('PEXPIRE', closed, kept_ms)
return 1
