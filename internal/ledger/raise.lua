-- Raises the applied revisions of targets that hold the wanted values, without a call.
--
-- Returns for each row 1 if that was done, or 0.
local runs, targets = KEYS[1], KEYS[2]
local FIRST_KEY = 3 -- then target and run (runs for none) of each row
local keep_ms, run_kept_ms = ARGV[1], ARGV[2]
-- Then for each row: key of its target, revision, name of its run ('' for none), row, number of fields; name,
-- mode and value of each field.
local at = 3

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local day_us = 24 * 3600 * 1000000

local function read_row()
	local target_key, revision, run_name, row, fields = unpack(ARGV, at, at + 4)
	local first = at + 5
	at = first + 3 * fields
	return { target_key = target_key, revision = revision, rev = tonumber(revision), run_name = run_name, row = row, first = first, last = at - 1 }
end

-- holds reports whether begin.lua would decide `unchanged` for a field, and no attempt holds a lease.
local function holds(target, row, name, mode, value)
	local held = redis.call('HMGET', target, LATEST .. name, APPLIED .. name, APPLIED_VALUE .. name, WANTED_VALUE .. name, UNKNOWN .. name, LATE .. name, LEASE_OWNER)
	if held[7] or not (is_number(held[1]) and is_number(held[2])) then
		return false
	end
	local latest, applied = tonumber(held[1] or 0), tonumber(held[2] or 0)
	local equal = held[3] == value or held[4] == value
	local later_change = latest > row.rev or applied > row.rev
	return (mode == 'value' or mode == 'once') and applied > 0 and equal and not later_change and not held[5] and not held[6]
end

local function all_hold(target, row)
	if row.rev > now_ms * 1000 + day_us then
		return false
	end
	for i = row.first, row.last, 3 do
		if not holds(target, row, ARGV[i], ARGV[i + 1], ARGV[i + 2]) then
			return false
		end
	end
	return true
end

local noted = {} -- runs and their keys that were noted, once a script

local function note_row(run, row)
	local result = redis.call('GETRANGE', run, row.row, row.row)
	if result == '' or result == '\0' then
		redis.call('SETRANGE', run, row.row, RESULT_UNCHANGED)
	end
	if not noted[run] then
		noted[run] = true
		redis.call('PEXPIRE', run, run_kept_ms)
	end
	if not noted[row.run_name] then
		noted[row.run_name] = true
		redis.call('ZADD', runs, 'NX', now_ms, row.run_name)
		redis.call('ZREMRANGEBYSCORE', runs, '-inf', now_ms - run_kept_ms)
	end
end

local replies, confirmed = {}, {} -- for the index: time and key of each target
for k = FIRST_KEY, #KEYS, 2 do
	local target, run, row = KEYS[k], KEYS[k + 1], read_row()
	local raised = all_hold(target, row)
	if raised then
		for i = row.first, row.last, 3 do
			redis.call('HSET', target, APPLIED .. ARGV[i], row.revision)
		end
		redis.call('PEXPIRE', target, keep_ms)
		confirmed[#confirmed + 1] = clock[1]
		confirmed[#confirmed + 1] = row.target_key
		if row.run_name ~= '' then
			note_row(run, row)
		end
	end
	replies[#replies + 1] = raised and 1 or 0
end
if #confirmed > 0 then
	redis.pcall('ZADD', targets, unpack(confirmed)) -- a damaged index costs itself alone
end
return replies
