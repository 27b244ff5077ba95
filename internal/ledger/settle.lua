-- Writes down what was applied, clears the doubt, ends the task and lets the
-- target go.
-- KEYS[1] target hash · KEYS[2] its open edits · KEYS[3] records of open tasks ·
-- KEYS[4] the task's run (KEYS[3] for none) · KEYS[5] the target's effects ·
-- KEYS[6] targets in doubt · KEYS[7] that the task has ended · KEYS[8] when a value that is set once was last applied
-- ARGV[1] owner · ARGV[2] keep, ms · ARGV[3] revision
-- ARGV[4] request id · ARGV[5] task id · ARGV[6] row, '' for none
-- ARGV[7] 1: an earlier send may still land · ARGV[8] Unix s: what was given up
-- before it can have landed only before the sends of this mark
-- ARGV[9] how long a value that is set once is locked, s
-- ARGV[10] the effect, for those who look · ARGV[11] the target's key
-- ARGV[12] how long a run is kept, ms
-- ARGV[13…] field name, mode, value, and the value wished for if that was
-- another, else ''; and so on
-- The fields are read at once and written at once: what a settle costs Redis is
-- the number of its commands.
local asked = { 'own' }
for i = 13, #ARGV, 4 do
	asked[#asked + 1] = 'r:' .. ARGV[i]
	asked[#asked + 1] = 'q:' .. ARGV[i]
	asked[#asked + 1] = 'd:' .. ARGV[i]
end
local h = redis.call('HMGET', KEYS[1], unpack(asked))
if h[1] ~= ARGV[1] then
	-- A settle whose reply was lost comes again.
	return not h[1] and h[2] == ARGV[3] and not h[4] and 'ok' or 'lost'
end
local t = redis.call('TIME')
local set, gone, edited = { 'rid', ARGV[4], 'at', t[1] }, { 'own', 'until' }, false
local function put(field, value)
	set[#set + 1] = field
	set[#set + 1] = value
end
local function drop(field)
	gone[#gone + 1] = field
end
for i = 13, #ARGV, 4 do
	local name, mode, value, wished = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local applied, late = h[(i - 13) / 4 * 3 + 2], h[(i - 13) / 4 * 3 + 3]
	if tonumber(ARGV[3]) > tonumber(applied or 0) then
		put('r:' .. name, ARGV[3])
	end
	if mode == 'edit' then
		edited = true
		-- The last 64, so that one that is delivered again is known.
		local done = (redis.call('HGET', KEYS[1], 'm:' .. name) or '') .. ARGV[3] .. ' '
		put('m:' .. name, done:sub(-64 * 17))
		drop('p:' .. ARGV[3])
	elseif mode ~= 'effect' then
		put('v:' .. name, value)
		-- The same wish again is fulfilled, though it was not taken to the letter.
		if wished ~= '' then
			put('w:' .. name, wished)
		else
			drop('w:' .. name)
		end
	end
	if mode == 'once' then
		put('l:' .. name, string.format('%.0f', t[1] + ARGV[9]) .. ' applied')
		drop('i:' .. name)
		drop('k:' .. name)
		redis.call('ZREM', KEYS[6], ARGV[11])
		redis.call('SET', KEYS[8], t[1], 'PX', ARGV[12])
	elseif ARGV[7] == '1' then
		put('q:' .. name, t[1])
	elseif late and mode ~= 'edit' and tonumber(late) < tonumber(ARGV[8]) then
		-- A later edit does not undo what an earlier one did when it landed late.
		drop('q:' .. name)
	end
	drop('d:' .. name)
end
redis.call('HSET', KEYS[1], unpack(set))
redis.call('HDEL', KEYS[1], unpack(gone))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('LPUSH', KEYS[5], t[1] .. ' ' .. ARGV[10]) > 10 then
	redis.call('LTRIM', KEYS[5], 0, 9)
end
redis.call('PEXPIRE', KEYS[5], ARGV[2])
-- For a producer that has yet to open it. The record of an edit may be begin's.
if redis.call('HDEL', KEYS[3], ARGV[5]) == 0 or edited then
	redis.call('SET', KEYS[7], '1', 'EX', 60)
end
if edited then
	redis.call('ZREM', KEYS[2], ARGV[5])
end
-- A row that is the last may be the only one, as its producer has yet to note it.
if ARGV[6] ~= '' and redis.call('SETRANGE', KEYS[4], ARGV[6], 'a') == ARGV[6] + 1 then
	redis.call('PEXPIRE', KEYS[4], ARGV[12])
end
return 'ok'
