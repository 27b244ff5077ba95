-- Decides whether a task still needs a call, by the rules in docs/ledger.md, and takes
-- the lease of its target if it does. If it does not, the task ends here.
--
-- Returns {'busy', ms left}, {'behind', position in the queue, task before it}, or
-- {'go' | 'done', a decision for each field …}. The details of a decision follow it
-- after bars. After the decisions of 'go' follows the time, Unix s.
local target, open_edits, open_tasks = KEYS[1], KEYS[2], KEYS[3]
local run = KEYS[4] -- open_tasks for a task of no run
local has_ended = KEYS[5] -- exists for a minute if the task has ended

local owner, lease_ms, keep_ms = ARGV[1], ARGV[2], ARGV[3]
local revision, task = ARGV[4], ARGV[5]
local row = ARGV[6] -- of the run, '' for none
local sends_at_once = ARGV[7] == '1' -- so note now that the outcome is unknown
local record = ARGV[8] -- of a task that holds an edit, else ''
local run_kept_ms = ARGV[9]
local FIRST = 10 -- then name, mode and value of each field

local abandoned_us = 120 * 1000000 -- after which an edit that was never stored is skipped

local clock = redis.call('TIME')
local now_s = tonumber(clock[1])
local now_ms = now_s * 1000 + math.floor(clock[2] / 1000)
local rev = tonumber(revision)

-- The state of the target, read in one command.
local asked = { LEASE_OWNER, LEASE_UNTIL }
for i = FIRST, #ARGV, 3 do
	for _, entry in ipairs({ LATEST, APPLIED, APPLIED_VALUE, WANTED_VALUE, UNKNOWN, LATE }) do
		asked[#asked + 1] = entry .. ARGV[i]
	end
end
local held = redis.call('HMGET', target, unpack(asked))

local leased_by_another = held[1] and held[1] ~= owner
local lease_until = tonumber(held[2] or 0)

local fields, writes, calls = {}, {}, {}
for i = FIRST, #ARGV, 3 do
	local at = (i - FIRST) * 2 + 2
	fields[#fields + 1] = {
		name = ARGV[i],
		mode = ARGV[i + 1],
		value = ARGV[i + 2],
		latest = tonumber(held[at + 1] or 0),
		applied = tonumber(held[at + 2] or 0),
		applied_text = held[at + 2],
		applied_value = held[at + 3],
		wanted_value = held[at + 4],
		unknown = held[at + 5],
		late = held[at + 6],
	}
end

local function read(entry)
	return redis.call('HGET', target, entry) or ''
end

local function write(entry, value)
	writes[#writes + 1] = entry
	writes[#writes + 1] = value
end

-- The questions that the rules ask.

local function later_change(field)
	return field.latest > rev or field.applied > rev
end

local function applied_before(field)
	return field.applied == rev and not field.unknown
end

local function edit_applied_before(field)
	return (' ' .. read(DONE_EDITS .. field.name)):find(' ' .. revision .. ' ', 1, true)
		-- A worker of schema 1 keeps no list of edits.
		or field.applied_text == revision and not field.unknown
end

local function holds_value(field)
	local equal = field.applied_value == field.value or field.wanted_value == field.value
	return field.applied > 0 and equal and not field.unknown and not field.late
end

local function unanswered(field)
	return field.unknown and not field.unknown:find(ANSWERED, 1, true)
end

local function lock_runs(lock)
	return lock ~= '' and tonumber(lock:match('^%d+')) > now_s
end

local function calls_done()
	local done = read(PROGRESS .. revision)
	return done ~= '' and done or '0'
end

local function candidates_refused(field)
	return read(REFUSED .. field.name):match('^' .. revision .. ' (%d+)$') or '0'
end

-- The decisions: call, make no call, or refuse, which leaves the task open.
local function call(answer) return { answer = answer, call = true } end
local function no_call(answer) return { answer = answer } end
local function refuse(answer) return { answer = answer, open = true } end

-- The rules, mode by mode.
local decide = {}

local function call_by_outcome(field)
	if unanswered(field) then
		return call('doubtful|1')
	elseif field.unknown or field.late then
		return call('doubtful|0')
	end
	return call('send')
end

function decide.value(field)
	if later_change(field) then
		return no_call('superseded')
	elseif applied_before(field) then
		return no_call('settled')
	elseif holds_value(field) and leased_by_another then
		-- The lease has expired. Redis may have kept it and lost what was sent. This
		-- stays until a send is settled.
		write(UNKNOWN .. field.name, revision .. ANSWERED)
		return call('doubtful|0')
	elseif holds_value(field) then
		write(APPLIED .. field.name, revision)
		return no_call('unchanged')
	end
	return call_by_outcome(field)
end

function decide.effect(field)
	if later_change(field) then
		return no_call('superseded')
	elseif applied_before(field) then
		return no_call('settled')
	end
	return call_by_outcome(field)
end

function decide.once(field)
	if later_change(field) then
		return no_call('superseded')
	end
	local lock = read(LOCK .. field.name)
	if field.unknown then
		-- The intent says what may be sent: nothing else.
		local intent = now_ms .. '|' .. read(INTENT .. field.name)
		if lock:find(UNVERIFIED, 1, true) then
			return refuse('unverified|' .. intent)
		end
		return call('doubtful|' .. intent)
	elseif applied_before(field) then
		return no_call('settled')
	elseif holds_value(field) then
		write(APPLIED .. field.name, revision)
		return no_call('unchanged')
	elseif lock_runs(lock) then
		return refuse('locked|' .. lock)
	end
	return call('send|' .. candidates_refused(field))
end

function decide.edit(field)
	if field.done then
		return no_call('settled')
	elseif unanswered(field) then
		return call('doubtful|' .. calls_done() .. '|late')
	elseif field.unknown then
		return call('doubtful|' .. calls_done())
	end
	return call('send|' .. calls_done())
end

-- The queue of edits.

-- An edit keeps its position until it ends, and has a record from now on: its producer
-- may have died before it noted that the task is stored.
local function enter_queue()
	redis.call('ZADD', open_edits, revision, task)
	redis.call('PEXPIRE', open_edits, keep_ms)
	redis.call('HSETNX', open_tasks, task, record)
end

-- edit_before returns the task that goes first, or nil. An edit that took a revision
-- and was never stored is removed after two minutes.
local function edit_before()
	while true do
		local first = redis.call('ZRANGE', open_edits, 0, 0, 'WITHSCORES')
		local before, position = first[1], tonumber(first[2])
		if position >= rev then
			return nil
		end
		local stored = redis.call('HEXISTS', open_tasks, before) == 1
		if stored or now_ms * 1000 - position < abandoned_us then
			return before
		end
		redis.call('ZREM', open_edits, before)
	end
end

-- What follows from the decisions.

local function take_lease()
	write(LEASE_OWNER, owner)
	write(LEASE_UNTIL, now_ms + lease_ms)
	for _, field in ipairs(calls) do
		-- An intent is noted right before its send.
		if sends_at_once and field.mode ~= 'once' then
			write(UNKNOWN .. field.name, revision)
		end
	end
end

local function end_task(result)
	-- A slow producer must not open the task again. The record of an edit may be that of
	-- enter_queue.
	if redis.call('HDEL', open_tasks, task) == 0 or record ~= '' then
		redis.call('SET', has_ended, '1', 'EX', 60)
	end
	redis.call('ZREM', open_edits, task)
	if row == '' then
		return
	end
	local before = redis.call('GETRANGE', run, row, row)
	if result ~= RESULT_SETTLED or before ~= RESULT_APPLIED then
		redis.call('SETRANGE', run, row, result)
	end
	if before == '' then -- the run may be new, if its producer has not noted the task yet
		redis.call('PEXPIRE', run, run_kept_ms)
	end
end

local function result_of(decisions)
	local result = RESULT_UNCHANGED
	for _, decision in ipairs(decisions) do
		if decision.answer == 'superseded' then
			return RESULT_SUPERSEDED
		elseif decision.answer == 'settled' then
			result = RESULT_SETTLED
		end
	end
	return result
end

-- The decision on the task.

local queued = false
for _, field in ipairs(fields) do
	if field.mode == 'edit' then
		field.done = edit_applied_before(field)
		queued = queued or not field.done
	end
end
if queued then
	enter_queue()
end
if leased_by_another and lease_until > now_ms then
	return { 'busy', tostring(lease_until - now_ms) }
end
local earlier = queued and edit_before()
if earlier then
	return { 'behind', tostring(redis.call('ZRANK', open_edits, task)), earlier }
end

local decisions, reply, open = {}, { 'done' }, false
for n, field in ipairs(fields) do
	local decision = decide[field.mode](field)
	if decision.call then
		calls[#calls + 1] = field
	end
	open = open or decision.open
	decisions[n] = decision
	reply[n + 1] = decision.answer
end
if #calls > 0 then
	take_lease()
	reply[1] = 'go'
	reply[#reply + 1] = clock[1]
elseif not open then
	end_task(result_of(decisions))
end
if #writes > 0 then
	redis.call('HSET', target, unpack(writes))
end
if #calls > 0 then
	redis.call('PEXPIRE', target, keep_ms)
end
return reply
