-- Decides whether a task still needs a call, by the rules in docs/ledger.md, and takes
-- the lease of its target if it does. If it does not, the task ends here.
--
-- Returns {'busy', ms left}, {'behind', position in the queue, task before it},
-- {'damaged', field} if an entry of it cannot be read, {'future'} if no clock can have
-- handed out the revision, or {'go' | 'done', a decision for each field …}. The details of a decision follow it
-- after bars. After the decisions of 'go' follows the time, Unix s.
local target, open_edits, open_tasks = KEYS[1], KEYS[2], KEYS[3]
local run = KEYS[4] -- open_tasks for a task of no run
local has_ended = KEYS[5] -- exists for a minute if the task has ended
local targets = KEYS[6] -- all targets, by the time when they were confirmed last, Unix s
local late_targets = KEYS[7] -- of a resend, which is no task and whose fields have mode resend or refresh: where it is from; else nil

local owner, lease_ms, keep_ms = ARGV[1], ARGV[2], ARGV[3]
local revision, task = ARGV[4], ARGV[5]
local row = ARGV[6] -- of the run, '' for none
local sends_at_once = ARGV[7] == '1' -- so note now that the outcome is unknown
local record = ARGV[8] -- of a task that holds an edit, else ''
local run_kept_ms = ARGV[9]
local target_key = ARGV[10]
local resend_s = ARGV[11] -- of a resend: how long it waits after a failure
local FIRST = 12 -- then name, mode and value of each field

local abandoned_us = 120 * 1000000 -- after which an edit that was never stored is skipped

local clock = redis.call('TIME')
local now_s = tonumber(clock[1])
local now_ms = now_s * 1000 + math.floor(clock[2] / 1000)
local rev = tonumber(revision)

if late_targets then
	local due_s = tonumber(redis.call('ZSCORE', late_targets, target_key) or 0)
	local repeated = redis.call('HGET', target, LEASE_OWNER) == owner -- the first reply was lost
	if due_s > now_s and not repeated then
		return { 'busy', string.format('%.0f', (due_s - now_s) * 1000) }
	end
	-- Other workers leave it alone, and so it waits if this attempt dies or fails.
	redis.call('ZADD', late_targets, now_s + resend_s, target_key)
end

-- The state of the target, read in one command.
local ENTRIES = { LATEST, APPLIED, APPLIED_VALUE, WANTED_VALUE, UNKNOWN, LATE }
local asked = { LEASE_OWNER, LEASE_UNTIL }
for i = FIRST, #ARGV, 3 do
	for n = 1, #ENTRIES do
		asked[#asked + 1] = ENTRIES[n] .. ARGV[i]
	end
end
local held = redis.call('HMGET', target, unpack(asked))

local leased_by_another = held[1] and held[1] ~= owner

if not is_number(held[2]) then
	return { 'damaged', '' }
end
local lease_until = tonumber(held[2] or 0)

local function read(entry)
	return redis.call('HGET', target, entry) or ''
end

-- A step of Redis' clock leaves the target's own revisions ahead. Any other revision
-- that is ahead would supersede all changes to come.
local day_us = 24 * 3600 * 1000000
if rev > now_ms * 1000 + day_us then
	local last = read(LAST_REVISION)
	if not (is_number(last) and rev <= (tonumber(last) or 0)) then
		return { 'future' }
	end
end

-- The fields, each with the answers to the questions that the rules ask.
local fields, queued = {}, false
for i = FIRST, #ARGV, 3 do
	local name, mode, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	local at = 2 + #fields * #ENTRIES
	local latest, applied = tonumber(held[at + 1] or 0), tonumber(held[at + 2] or 0)
	local equal = held[at + 3] == value or held[at + 4] == value
	local unknown, late = held[at + 5], held[at + 6]
	if not (is_number(held[at + 1]) and is_number(held[at + 2]) and is_number(late) and is_number(unknown and unknown:match('^%S+'))) then
		return { 'damaged', name }
	end
	local field = {
		name = name,
		mode = mode,
		-- A resend has no revision of its own: it is of the applied one.
		revision = (mode == 'resend' or mode == 'refresh') and held[at + 2] or revision,
		waits = latest > applied,
		equal = applied > 0 and equal,
		later_change = latest > rev or applied > rev,
		applied_before = applied == rev and not unknown,
		holds_value = applied > 0 and equal and not unknown and not late,
		unknown = unknown,
		unanswered = unknown and not unknown:find(ANSWERED, 1, true),
		late = late,
	}
	if mode == 'edit' then
		-- A worker of schema 1 keeps no list of edits: then the revision decides.
		local listed = (' ' .. read(DONE_EDITS .. name)):find(' ' .. revision .. ' ', 1, true)
		field.applied_before = listed or field.applied_before
		queued = queued or not field.applied_before
	end
	fields[#fields + 1] = field
end

local writes = {}
local function write(entry, value)
	writes[#writes + 1] = entry
	writes[#writes + 1] = value
end

-- The rules, mode by mode. Each returns its decision, and CALL if the field needs a call,
-- or OPEN if it needs none and the task must not end.
local CALL, OPEN = 1, 2
local decide = {}

local function decide_by_outcome(field)
	if field.unanswered then
		return 'send_again|1', CALL
	elseif field.unknown or field.late then
		return 'send_again|0', CALL
	end
	return 'send', CALL
end

function decide.value(field)
	if field.later_change then
		return 'superseded'
	elseif field.applied_before then
		return 'settled'
	elseif field.holds_value and leased_by_another then
		-- The lease has expired. Redis may have kept it and lost what was sent. This
		-- stays until a send is settled.
		write(UNKNOWN .. field.name, revision .. ANSWERED)
		return 'send_again|0', CALL
	elseif field.holds_value then
		write(APPLIED .. field.name, revision)
		return 'unchanged'
	end
	return decide_by_outcome(field)
end

function decide.effect(field)
	if field.later_change then
		return 'superseded'
	elseif field.applied_before then
		return 'settled'
	end
	return decide_by_outcome(field)
end

function decide.once(field)
	if field.later_change then
		return 'superseded'
	end
	local lock = read(LOCK .. field.name)
	if field.unknown then
		-- The intent says which value was sent: no other may be.
		local intent = now_ms .. '|' .. read(INTENT .. field.name)
		if lock:find(UNVERIFIED, 1, true) then
			return 'unverified|' .. intent, OPEN
		end
		return 'send_again|' .. intent, CALL
	elseif field.applied_before then
		return 'settled'
	elseif field.holds_value then
		write(APPLIED .. field.name, revision)
		return 'unchanged'
	elseif lock ~= '' and tonumber(lock:match('^%d+')) > now_s then
		return 'locked|' .. lock, OPEN
	end
	local refused = read(REFUSED .. field.name):match('^' .. revision .. ' (%d+)$')
	return 'send|' .. (refused or '0'), CALL
end

-- resend sends an applied value again if there is a reason.
local function resend(field, reason)
	local resent = field.unknown and field.unknown:match('^%d+') == field.revision
	if field.waits or field.unknown and not resent then
		return 'superseded'
	elseif not (field.equal and reason) then
		return 'settled'
	elseif field.unanswered then
		return 'send_again|1', CALL
	elseif field.unknown then
		return 'send_again|0', CALL
	end
	return 'send', CALL
end

function decide.resend(field)
	return resend(field, field.late)
end

function decide.refresh(field)
	local decision, effect = resend(field, true)
	if effect == CALL then
		write(TRIED, now_s)
	end
	return decision, effect
end

function decide.edit(field)
	if field.applied_before then
		return 'settled'
	end
	local calls_done = read(PROGRESS .. revision)
	if calls_done == '' then
		calls_done = '0'
	end
	if field.unanswered then
		return 'send_again|' .. calls_done .. '|late', CALL
	elseif field.unknown then
		return 'send_again|' .. calls_done, CALL
	end
	return 'send|' .. calls_done, CALL
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

local function end_task(result)
	-- A slow producer must not open the task again. The record of an edit may be from here.
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

-- The decision on the task.

if queued then
	-- An edit keeps its position until it ends, and has a record from now on: its producer
	-- may have died before it noted that the task is stored.
	redis.call('ZADD', open_edits, revision, task)
	redis.call('PEXPIRE', open_edits, keep_ms)
	redis.call('HSETNX', open_tasks, task, record)
end
if leased_by_another and lease_until > now_ms + lease_ms then
	-- The clock was set back. A worker that is alive renews its lease.
	lease_until = now_ms + lease_ms
	redis.call('HSET', target, LEASE_UNTIL, lease_until)
end
if leased_by_another and lease_until > now_ms then
	return { 'busy', tostring(lease_until - now_ms) }
end
local earlier = queued and edit_before()
if earlier then
	return { 'behind', tostring(redis.call('ZRANK', open_edits, task)), earlier }
end

local reply, calls, open, result = { 'done' }, {}, false, RESULT_UNCHANGED
for n, field in ipairs(fields) do
	local decision, effect = decide[field.mode](field)
	reply[n + 1] = decision
	if effect == CALL then
		calls[#calls + 1] = field
	elseif effect == OPEN then
		open = true
	elseif decision == 'superseded' then
		result = RESULT_SUPERSEDED
	elseif decision == 'unchanged' then
		redis.pcall('ZADD', targets, now_s, target_key)
	elseif decision == 'settled' and result ~= RESULT_SUPERSEDED then
		result = RESULT_SETTLED
	end
end
if #calls > 0 then
	reply[1] = 'go'
	reply[#reply + 1] = clock[1]
	write(LEASE_OWNER, owner)
	write(LEASE_UNTIL, now_ms + lease_ms)
	for _, field in ipairs(calls) do
		if sends_at_once and field.mode ~= 'once' then -- whose intent is noted right before the send
			write(UNKNOWN .. field.name, field.revision)
			if field.mode == 'value' and field.unknown and field.unknown:match('^%d+') ~= revision then
				write(OTHER_SENT .. field.name, '1')
			end
		end
	end
elseif late_targets then
	-- A resend that was frozen may know the value from before: the one that replaced it is
	-- sent again by the next.
	local ended = {}
	for n, field in ipairs(fields) do
		ended[field.name] = field.equal or field.mode == 'refresh' or reply[n + 1] ~= 'settled'
	end
	if not others_late(target, ended) then
		redis.call('ZREM', late_targets, target_key)
	end
elseif not open then
	end_task(result)
end
if #writes > 0 then
	redis.call('HSET', target, unpack(writes))
end
if #calls > 0 then
	redis.call('PEXPIRE', target, keep_ms)
end
return reply
