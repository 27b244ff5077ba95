-- Hands out revisions for a block of changes, in their order.
--
-- Returns for each the revision, or 'older' if its source has a higher number for every
-- field, 'mixed' if it has for some, or 'damaged' if an entry of the target cannot be
-- read.
local floor = KEYS[1] -- the last revision of a run
local FIRST_KEY = 2 -- then target and open edits of each change
local keep_ms = ARGV[1]
-- Then for each change: task id, 1 if it takes its position among the edits now, source
-- ('' for none), number, number of fields, their names.
local at = 2

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local lowest = math.max(now_us, floor_at(floor, now_us) + 1)

-- Lua prints no integer as large as a revision.
local function text_of(number)
	return string.format('%.0f', number)
end

local function read_change()
	local task, takes_position, source, number, fields = unpack(ARGV, at, at + 4)
	local first = at + 5
	at = first + fields
	return {
		task = task, takes_position = takes_position == '1', source = source, number = tonumber(number),
		fields = { unpack(ARGV, first, at - 1) },
	}
end

-- older returns for how many fields the source has a higher number already.
local function older(target, change)
	local count = 0
	if change.source ~= '' then
		for _, field in ipairs(change.fields) do
			local known = redis.call('HGET', target, SOURCE .. change.source .. ':' .. field)
			if (tonumber(known or '-1') or -1) > change.number then
				count = count + 1
			end
		end
	end
	return count
end

-- highest returns the highest revision of a target and of the fields of a change, or nil
-- if one of them cannot be read. Only a damaged target has a higher one than its last.
local function highest(target, change)
	local asked = { LAST_REVISION }
	for _, field in ipairs(change.fields) do
		asked[#asked + 1] = LATEST .. field
		asked[#asked + 1] = APPLIED .. field
	end
	local held, highest = redis.call('HMGET', target, unpack(asked)), 0
	for n = 1, #asked do
		if not is_number(held[n]) then
			return nil
		end
		highest = math.max(highest, tonumber(held[n] or 0))
	end
	return highest
end

local function revise(target, open_edits, change)
	local last = highest(target, change)
	if not last or not is_number(text_of(last + 1)) then
		return 'damaged'
	end
	local revision = text_of(math.max(lowest, last + 1))
	redis.call('HSET', target, LAST_REVISION, revision)
	if change.source ~= '' then
		for _, field in ipairs(change.fields) do
			redis.call('HSET', target, SOURCE .. change.source .. ':' .. field, text_of(change.number))
		end
	end
	if change.takes_position then
		-- NX: a task that another producer stores under the same id keeps its first position.
		redis.call('ZADD', open_edits, 'NX', revision, change.task)
		redis.call('PEXPIRE', open_edits, keep_ms)
	end
	redis.call('PEXPIRE', target, keep_ms)
	return revision
end

local replies = {}
for k = FIRST_KEY, #KEYS, 2 do
	local target, open_edits, change = KEYS[k], KEYS[k + 1], read_change()
	local count, reply = older(target, change), nil
	if count == 0 then
		reply = revise(target, open_edits, change)
	else
		reply = count == #change.fields and 'older' or 'mixed'
	end
	replies[#replies + 1] = reply
end
return replies
