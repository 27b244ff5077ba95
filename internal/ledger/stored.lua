-- Notes that tasks were stored: opens a record for each, which is closed when the task
-- ends, and notes the latest changes.
local open_tasks, runs, targets = KEYS[1], KEYS[2], KEYS[3]
local FIRST_KEY = 4 -- then target, run (open_tasks for none) and has_ended of each task

local keep_ms, run_kept_ms = ARGV[1], ARGV[2]
-- Then for each task: key of its target, id, revision, record, 1 if it may be the latest change, 1 if it is
-- about a single value, of which older tasks need no record, name of its run ('' for
-- none), row, 1 if it may have been noted before, number of fields, their names.
local at = 3

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- is_single reports whether a task is about a single value. Text of its payload has no such
-- quotes.
local function is_single(id)
	local record = redis.call('HGET', open_tasks, id)
	return record and record:find('"single":true', 1, true)
end

-- note_change notes the latest change of a field, and returns whether the task is done
-- with it: a worker may have been faster than the producer.
local function note_change(target, task, field)
	local held = redis.call('HMGET', target, LATEST .. field, APPLIED .. field, LATEST_TASK .. field)
	local latest, applied, latest_task = tonumber(held[1] or 0), tonumber(held[2] or 0), held[3]
	local replaced = task.single and task.is_change and latest > task.rev
	-- A task that is stored again, with its old revision, has another id.
	if task.is_change and task.rev >= latest then
		if redis.call('HSET', target, LATEST .. field, task.revision, LATEST_TASK .. field, task.id) > 0 then
			redis.pcall('ZADD', targets, 'NX', 0, task.target_key) -- never confirmed
		end
		if latest_task and latest_task ~= task.id and is_single(latest_task) then
			redis.call('HDEL', open_tasks, latest_task)
		end
	end
	return applied >= task.rev or replaced
end

local function note_row(run, task, ended)
	local result = redis.call('GETRANGE', run, task.row, task.row)
	if result == '' or result == '\0' or result == RESULT_DEAD and not ended then
		redis.call('SETRANGE', run, task.row, RESULT_STORED)
	end
	redis.call('PEXPIRE', run, run_kept_ms)
	redis.call('ZADD', runs, 'NX', now_ms, task.run)
	redis.call('ZREMRANGEBYSCORE', runs, '-inf', now_ms - run_kept_ms)
end

local function note_task(target, run, has_ended, task)
	local ended = task.last >= task.first
	for i = task.first, task.last do
		local done = note_change(target, task, ARGV[i])
		ended = ended and done
	end
	ended = ended or redis.call('EXISTS', has_ended) == 1
	if not ended then
		redis.call('HSET', open_tasks, task.id, task.record)
	end
	redis.call('PEXPIRE', target, keep_ms)
	if task.run ~= '' then
		note_row(run, task, ended)
	end
end

-- has_result reports whether the row of a task has ended.
local function has_result(run, row)
	local result = redis.call('GETRANGE', run, row, row)
	return result ~= '' and result ~= '\0' and result ~= RESULT_STORED
end

redis.pcall('ZREMRANGEBYSCORE', targets, '(0', clock[1] - keep_ms / 1000)
for k = FIRST_KEY, #KEYS, 3 do
	local target, run, has_ended = KEYS[k], KEYS[k + 1], KEYS[k + 2]
	local target_key, id, revision, record, is_change, single, run_name, row, again, fields = unpack(ARGV, at, at + 9)
	local first = at + 10
	at = first + fields
	if again ~= '1' or not has_result(run, row) then
		note_task(target, run, has_ended, {
			target_key = target_key, id = id, revision = revision, rev = tonumber(revision), is_change = is_change == '1', single = single == '1',
			record = record, run = run_name, row = row, first = first, last = at - 1,
		})
	end
end
return 'ok'
