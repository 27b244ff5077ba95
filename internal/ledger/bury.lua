-- Adds a dead letter, once a task. Returns 1 if the task had none.
local letters = KEYS[1] -- task id → dead letter
local places = KEYS[2] -- task id → its time, 16 digits, and its cause
local times = KEYS[3] -- members of all dead letters, by time
local causes = KEYS[4] -- cause → number; members of one cause are in causes:<cause>

local task, letter, time, cause = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local replaces = ARGV[5] == 'replace' -- the one that is there

local place = redis.call('HGET', places, task)
if place and not replaces then
	return 0
end
if place then
	local old_member, old_cause = place:sub(1, 16) .. task, place:sub(17)
	redis.call('ZREM', times, old_member)
	redis.call('ZREM', causes .. ':' .. old_cause, old_member)
	if redis.call('HINCRBY', causes, old_cause, -1) <= 0 then
		redis.call('HDEL', causes, old_cause)
	end
end
local member = time .. task
redis.call('HSET', letters, task, letter)
redis.call('HSET', places, task, time .. cause)
redis.call('ZADD', times, 0, member)
redis.call('ZADD', causes .. ':' .. cause, 0, member)
redis.call('HINCRBY', causes, cause, 1)
return place and 0 or 1
