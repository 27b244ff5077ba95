-- Removes what the last check noted: the send did not leave, or was refused unread.
--
-- Returns 'ok', 'lost' if another attempt has the lease, or 'free' if no attempt has: it
-- was released before, or another attempt had it in between.
local target = KEYS[1]
local owner = ARGV[1]
local releases = ARGV[2] == '1'
local FIRST = 3 -- then for each field: name, and one of the keys of undo

local undo = {}

-- unknown: the outcome is known.
function undo.unknown(field)
	redis.call('HDEL', target, UNKNOWN .. field)
end

-- clean: no send of a value that can be set once was applied.
function undo.clean(field)
	redis.call('HDEL', target, INTENT .. field, UNKNOWN .. field)
end

-- once: one send less of a value that can be set once.
function undo.once(field)
	local intent = redis.call('HGET', target, INTENT .. field) or ''
	local sends, rest = intent:match('^(%d+)( .*)$')
	if sends and tonumber(sends) > 1 then
		redis.call('HSET', target, INTENT .. field, (sends - 1) .. rest)
	else
		undo.clean(field)
	end
end

-- answered: the send was answered, and cannot be carried out any more.
function undo.answered(field)
	local unknown = redis.call('HGET', target, UNKNOWN .. field)
	if unknown then
		redis.call('HSET', target, UNKNOWN .. field, unknown:match('^%d+') .. ANSWERED)
	end
end

local holder = redis.call('HGET', target, LEASE_OWNER)
if holder ~= owner then
	return holder and 'lost' or 'free'
end
for i = FIRST, #ARGV, 2 do
	undo[ARGV[i + 1]](ARGV[i])
end
if releases then
	redis.call('HDEL', target, LEASE_OWNER, LEASE_UNTIL)
end
return 'ok'
