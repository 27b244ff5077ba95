-- Finds out which targets hold a wanted value and have nothing underway, and how each is
-- known. Writes nothing.
--
-- Returns for each target 0 if it may not hold the value: its record must be read. Else 8
-- times the Unix s at which it was confirmed last (0: not known), and how it is known: 1
-- answered, 2 after a doubt, 3 stated.
local field = ARGV[1]
local FIRST = 2 -- then the wanted value of each target

local ENTRIES = {
	LATEST .. field,
	APPLIED .. field,
	APPLIED_VALUE .. field,
	UNKNOWN .. field,
	LATE .. field,
	EVIDENCE .. field,
	LEASE_OWNER,
	LAST_REVISION,
	SETTLED_AT,
	TRIED,
}
local HOW = { [DOUBT] = 2, [STATED] = 3 }

local replies = {}
for k = 1, #KEYS do
	local held = redis.pcall('HMGET', KEYS[k], unpack(ENTRIES)) -- of another type: an error in place of the values
	local value, reply = ARGV[FIRST + k - 1], 0
	local free = not held[4] and not held[5] and not held[7]
	if held[3] == value and free and is_number(held[1]) and is_number(held[2]) and is_number(held[8]) then
		local applied = tonumber(held[2] or 0)
		if applied > 0 and tonumber(held[1] or 0) <= applied then
			local settled_s, tried_s = is_number(held[9]) and tonumber(held[9] or 0) or 0, is_number(held[10]) and tonumber(held[10] or 0) or 0
			reply = 8 * math.max(settled_s, tried_s) + (HOW[held[6]] or 1)
		end
	end
	replies[k] = reply
end
return replies
