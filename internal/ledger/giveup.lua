-- Ends the resends of a target, unless one of its values may be overwritten for a later
-- reason than those that the caller knows: it was settled again since it was read.
--
-- Returns 1 if they end.
local target, late_targets = KEYS[1], KEYS[2]
local target_key = ARGV[1]
-- Then for each field that the caller knows: name, and since when, Unix s.

local known = {}
for i = 2, #ARGV, 2 do
	known[LATE .. ARGV[i]] = ARGV[i + 1]
end
local held = redis.call('HGETALL', target)
for i = 1, #held, 2 do
	if held[i]:sub(1, #LATE) == LATE and known[held[i]] ~= held[i + 1] then
		return 0
	end
end
redis.call('ZREM', late_targets, target_key)
return 1
