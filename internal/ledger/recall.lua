-- Notes again what a Redis that lost writes may have forgotten: that fields were applied,
-- or that what was sent for them was never settled. Anything newer is kept.
--
-- Returns how many fields were forgotten.
local target = KEYS[1]
local revision, keep_ms = ARGV[1], ARGV[2]
local was_sent = ARGV[3] == 'sent' -- else it was applied
local locked_until_s = ARGV[4] -- of a value that can be set once, Unix s
-- Then for each field: name, mode, value, and the wanted value if that was another, else
-- ''. The value of a field of mode once that was sent is its intent.
local FIRST, WIDTH = 5, 4

local rev = tonumber(revision)
local forgotten, writes, removes = 0, {}, {}

local function write(entry, value)
	writes[#writes + 1] = entry
	writes[#writes + 1] = value
end

local function remove(entry)
	removes[#removes + 1] = entry
end

local function note_sent(field, mode, intent)
	write(UNKNOWN .. field, revision)
	if mode == 'once' then
		write(INTENT .. field, intent)
	end
end

local function note_applied(field, mode, value, wanted)
	write(APPLIED .. field, revision)
	if mode ~= 'effect' then
		write(APPLIED_VALUE .. field, value)
		if wanted ~= '' then
			write(WANTED_VALUE .. field, wanted)
		else
			remove(WANTED_VALUE .. field)
		end
	end
	if mode == 'once' then
		write(LOCK .. field, locked_until_s .. BY_CHANGE)
	end
end

for i = FIRST, #ARGV, WIDTH do
	local field, mode, value, wanted = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local held = redis.call('HMGET', target, APPLIED .. field, UNKNOWN .. field, LATEST .. field)
	local applied, latest = tonumber(held[1] or 0), tonumber(held[3] or 0)
	local unknown = tonumber((held[2] or ''):match('^%d+') or 0)
	local known = mode == 'edit' or applied >= rev or was_sent and unknown > 0
	if not known then
		forgotten = forgotten + 1
		if was_sent then
			note_sent(field, mode, value)
		else
			note_applied(field, mode, value, wanted)
			if unknown <= rev then
				remove(UNKNOWN .. field)
				remove(INTENT .. field)
			end
		end
	end
	if latest < rev then
		write(LATEST .. field, revision)
	end
end
if forgotten == 0 then
	return 0
end
if tonumber(redis.call('HGET', target, LAST_REVISION) or 0) < rev then
	write(LAST_REVISION, revision)
end
redis.call('HSET', target, unpack(writes))
if #removes > 0 then
	redis.call('HDEL', target, unpack(removes))
end
redis.call('PEXPIRE', target, keep_ms)
return forgotten
