-- Removes the position of an edit whose task was not stored, or has ended. Returns 1 if
-- it had one.
local open_edits, open_tasks = KEYS[1], KEYS[2]
local task = ARGV[1]

if redis.call('HEXISTS', open_tasks, task) == 1 then
	return 0 -- the task is stored after all, and keeps its position
end
return redis.call('ZREM', open_edits, task)
