-- Adds a dead letter, once a task. Returns 1 if the task had none.
local bodies = KEYS[1] -- task id → dead letter
local positions = KEYS[2] -- task id → its time, 16 digits, and its cause
local times = KEYS[3] -- members of all dead letters, by time
local causes = KEYS[4] -- cause → number; members of one cause are in causes:<cause>
local todos = KEYS[5] -- cause → what to do, kept when its dead letters are deleted

local task, body, time, cause = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local replaces = ARGV[5] == 'replace' -- the one that is there
local todo = ARGV[6]

local position = redis.call('HGET', positions, task)
if position and not replaces then
	return 0
end
if position then
	local old_member, old_cause = position:sub(1, 16) .. task, position:sub(17)
	redis.call('ZREM', times, old_member)
	redis.call('ZREM', causes .. ':' .. old_cause, old_member)
	if redis.call('HINCRBY', causes, old_cause, -1) <= 0 then
		redis.call('HDEL', causes, old_cause)
	end
end
local member = time .. task
redis.call('HSET', bodies, task, body)
redis.call('HSET', positions, task, time .. cause)
redis.call('ZADD', times, 0, member)
redis.call('ZADD', causes .. ':' .. cause, 0, member)
redis.call('HINCRBY', causes, cause, 1)
if todo ~= '' then
	redis.pcall('HSET', todos, cause, todo)
end
return position and 0 or 1
