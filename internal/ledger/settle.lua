-- Notes what was applied, ends the task and releases the lease.
--
-- Returns 'ok', or 'lost' if another attempt has the lease. The fields are read at
-- once and written at once: what a settle costs Redis is the number of its commands.
local target, open_edits, open_tasks = KEYS[1], KEYS[2], KEYS[3]
local run = KEYS[4] -- open_tasks for a task of no run
local effects, targets_unknown = KEYS[5], KEYS[6]
local has_ended = KEYS[7] -- exists for a minute if the task has ended
local last_changed = KEYS[8] -- when a value that can be set once was last applied, to any target, Unix s
local late_targets = KEYS[9] -- targets whose values are sent again, by the time when, Unix s
local details = KEYS[10] -- of the rows of the run; open_tasks for none
local targets = KEYS[11] -- all targets, by the time when they were confirmed last, Unix s
local refreshed_targets = KEYS[12] -- of a refresh: targets whose values are to be confirmed, by the time when, Unix s; else nil

local owner, keep_ms, revision, request, task = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local row = ARGV[6] -- of the run, '' for none
local may_land = ARGV[7] == '1' -- an earlier send of this attempt may still be carried out
local landed_before_s = tonumber(ARGV[8]) -- an older send than this can only have been carried out before ours
local locked_s = ARGV[9] -- how long a value that can be set once is locked
local effect, target_key, run_kept_ms = ARGV[10], ARGV[11], ARGV[12]
local resend_s = ARGV[13] -- after which values that may be overwritten are sent again; '': they are not
local detail = ARGV[14] -- how the detail of the row begins, see rows.go; '': it has none
local names_fields = ARGV[15] == '1' -- in the detail
local after_doubt = ARGV[16] == '1' -- an outcome was unknown when the attempt began
-- Then for each field: name, mode, applied value, and the wanted value if that was
-- another, else ''.
local FIRST, WIDTH = 17, 4
local is_resend = ARGV[FIRST + 1] == 'resend' -- it is no task, and changes no value and no revision

local ENTRIES = { APPLIED, LATE, UNKNOWN, APPLIED_VALUE, OTHER_SENT }
local asked = { LEASE_OWNER }
for i = FIRST, #ARGV, WIDTH do
	for n = 1, #ENTRIES do
		asked[#asked + 1] = ENTRIES[n] .. ARGV[i]
	end
end
local held = redis.call('HMGET', target, unpack(asked))

if held[1] ~= owner then
	-- The reply of the first settle may have been lost: no lease, and applied.
	local repeated = not held[1] and (held[2] == revision or is_resend) and not held[4]
	return repeated and 'ok' or 'lost'
end

local now_s = redis.call('TIME')[1]
local writes, removes = { SETTLED_REQUEST, request, SETTLED_AT, now_s }, { LEASE_OWNER, LEASE_UNTIL }

local function write(entry, value)
	writes[#writes + 1] = entry
	writes[#writes + 1] = value
end

local function remove(entry)
	removes[#removes + 1] = entry
end

-- The last 64 edits are known when they are delivered again.
local function note_edit(name)
	local done = (redis.call('HGET', target, DONE_EDITS .. name) or '') .. revision .. ' '
	write(DONE_EDITS .. name, done:sub(-64 * 17))
	remove(PROGRESS .. revision)
end

-- The wanted value is kept next to the applied one, so that the same change again is
-- unchanged.
local function note_value(name, value, wanted)
	write(APPLIED_VALUE .. name, value)
	if wanted ~= '' then
		write(WANTED_VALUE .. name, wanted)
	else
		remove(WANTED_VALUE .. name)
	end
end

local function note_lock(name)
	write(LOCK .. name, string.format('%.0f', now_s + locked_s) .. BY_CHANGE)
	remove(INTENT .. name)
	remove(REFUSED .. name)
	redis.call('ZREM', targets_unknown, target_key)
	redis.call('SET', last_changed, now_s, 'PX', run_kept_ms)
end

-- big_endian is a number in so many bytes.
local function big_endian(number, width)
	local bytes = ''
	for _ = 1, width do
		bytes = string.char(number % 256) .. bytes
		number = math.floor(number / 256)
	end
	return bytes
end

-- note_old adds to the detail which value a field had. It is not known if an earlier
-- request may have replaced it.
local function note_old(name, applied, value, uncertain, substitute)
	local known = applied > 0 and value and not uncertain and #value < 65535
	detail = detail .. (names_fields and big_endian(#name, 1) .. name or '\0')
	detail = detail .. (known and big_endian(#value, 2) .. value or '\255\255')
	detail = detail .. big_endian(#substitute, 2) .. substitute
end

local holds_edit, named = false, {}
local late_since_s -- of the value that may be overwritten for the longest
if detail ~= '' then
	detail = detail .. big_endian(tonumber(now_s), 4)
end
local at = 1
for i = FIRST, #ARGV, WIDTH do
	local name, mode, value, wanted = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local applied, late = tonumber(held[at + 1] or 0), held[at + 2]
	named[name] = true
	if late and tonumber(late) > tonumber(now_s) then -- the clock was set back
		late = now_s
		write(LATE .. name, late)
	end
	if applied == tonumber(revision) then
		detail = '' -- settled before: it has the value from before that
	elseif detail ~= '' then
		note_old(name, applied, held[at + 4], late or held[at + 5], wanted ~= '' and value or '')
	end
	at = at + #ENTRIES
	if tonumber(revision) > applied and not is_resend then
		write(APPLIED .. name, revision)
	end
	if mode == 'edit' then
		holds_edit = true
		note_edit(name)
	elseif mode == 'value' or mode == 'once' then
		note_value(name, value, wanted)
	end
	if mode == 'once' then
		note_lock(name)
		late = nil
	elseif may_land then
		late = now_s
		write(LATE .. name, late)
	elseif late and mode ~= 'edit' and tonumber(late) < landed_before_s then
		-- A later edit does not undo what an earlier one did when it was carried out late.
		remove(LATE .. name)
		late = nil
	end
	if mode == 'value' or mode == 'resend' then
		if after_doubt or may_land then
			write(EVIDENCE .. name, DOUBT)
		else
			remove(EVIDENCE .. name)
		end
	end
	if late and (mode == 'value' or mode == 'resend') then
		late_since_s = math.max(late_since_s or 0, tonumber(late))
	end
	remove(UNKNOWN .. name)
	remove(OTHER_SENT .. name)
end
redis.call('HSET', target, unpack(writes))
redis.call('HDEL', target, unpack(removes))
redis.call('PEXPIRE', target, keep_ms)

if redis.call('LPUSH', effects, now_s .. ' ' .. effect) > 10 then
	redis.call('LTRIM', effects, 0, 9)
end
redis.call('PEXPIRE', effects, keep_ms)

redis.pcall('ZADD', targets, now_s, target_key) -- a damaged index costs itself alone
if late_since_s and resend_s ~= '' then
	redis.call('ZADD', late_targets, string.format('%.0f', late_since_s + resend_s + 1), target_key)
	redis.call('PEXPIRE', late_targets, keep_ms)
elseif is_resend and not others_late(target, named) then
	redis.call('ZREM', late_targets, target_key)
end
if refreshed_targets then
	redis.call('ZREM', refreshed_targets, target_key)
end
if is_resend then
	return 'ok'
end

-- A slow producer must not open the task again. The record of an edit may be that of
-- begin.lua.
if redis.call('HDEL', open_tasks, task) == 0 or holds_edit then
	redis.call('SET', has_ended, '1', 'EX', 60)
end
if holds_edit then
	redis.call('ZREM', open_edits, task)
end
-- The last row of a run may be the only one, if its producer has not noted the task yet.
if row ~= '' and redis.call('SETRANGE', run, row, RESULT_APPLIED) == row + 1 then
	redis.call('PEXPIRE', run, run_kept_ms)
end
if detail ~= '' then
	redis.pcall('RPUSH', details, detail) -- a damaged key costs the details alone
	redis.call('PEXPIRE', details, run_kept_ms)
end
return 'ok'
