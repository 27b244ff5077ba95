-- Ends a task that will not be settled. Returns 1 if it was ended.
local target, open_edits, open_tasks = KEYS[1], KEYS[2], KEYS[3]
local run = KEYS[4] -- open_tasks for a task of no run
local has_ended = KEYS[5] -- exists for a minute if the task has ended
local details = KEYS[6] -- of the rows of the run; open_tasks for none

local task = ARGV[1]
local row = ARGV[2] -- of the run, '' for none
local result = ARGV[3] -- '': as the target has it, unless the row has a result
local revision = ARGV[4] -- end the task only if its fields are settled or superseded; '': in any case
local run_kept_ms = ARGV[5]
local detail = ARGV[6] -- of the row, see rows.go; '': it has none
local FIRST = 7 -- then name and mode of each field

local rev = tonumber(revision)

-- ending returns the result that a field has, or nil if it may still need a call.
local function ending(field, mode)
	local held = redis.call('HMGET', target, LATEST .. field, APPLIED .. field, DONE_EDITS .. field)
	local latest, applied, done = tonumber(held[1] or 0), tonumber(held[2] or 0), held[3]
	if mode == 'edit' then
		local listed = done and (' ' .. done):find(' ' .. revision .. ' ', 1, true)
		-- A worker of schema 1 keeps no list of edits.
		return (listed or applied == rev) and RESULT_SETTLED or nil
	elseif held[2] == revision then
		return RESULT_SETTLED
	end
	return (latest > rev or applied >= rev) and RESULT_SUPERSEDED or nil
end

-- found is the result of all fields together, or nil if one may still need a call.
local function found()
	local all = RESULT_SETTLED
	for i = FIRST, #ARGV, 2 do
		local one = ending(ARGV[i], ARGV[i + 1])
		if not one then
			return nil
		elseif one == RESULT_SUPERSEDED then
			all = one
		end
	end
	return all
end

local row_is_given = result ~= ''
if revision ~= '' then
	result = found()
	if not result then
		return 0
	end
end
-- A slow producer must not open the task again. The record of an edit, which had a
-- position, may be that of begin.lua.
local open, placed = redis.call('HDEL', open_tasks, task), redis.call('ZREM', open_edits, task)
if open == 0 or placed == 1 then
	redis.call('SET', has_ended, '1', 'EX', 60)
end
if row ~= '' then
	local before = redis.call('GETRANGE', run, row, row)
	local is_open = before == '' or before == '\0' or before == RESULT_STORED
	-- A task whose end is found later, or that is cancelled, keeps a result that it has.
	if before == RESULT_STORED or row_is_given and (is_open or result ~= RESULT_CANCELLED) then
		redis.call('SETRANGE', run, row, result)
		redis.call('PEXPIRE', run, run_kept_ms)
	end
end
if detail ~= '' then
	redis.pcall('RPUSH', details, detail) -- a damaged key costs the details alone
	redis.call('PEXPIRE', details, run_kept_ms)
end
return 1
