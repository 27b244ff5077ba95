-- Ends a task that will not be settled.
-- KEYS[1] target hash · KEYS[2] its open edits · KEYS[3] records of open tasks ·
-- KEYS[4] the task's run (KEYS[3] for none) · KEYS[5] that it has ended
-- ARGV[1] task id · ARGV[2] row, '' for none · ARGV[3] how it ended, a letter;
-- '': as the target tells, unless the row tells already
-- ARGV[4] revision: close only what was settled or superseded; '': at any rate
-- ARGV[5] how long a run is kept, ms
-- ARGV[6…] field name, mode; and so on
-- Returns 1 if it was closed.
local how = ARGV[3]
if ARGV[4] ~= '' then
	how = 't'
	local rev = tonumber(ARGV[4])
	for i = 6, #ARGV, 2 do
		local name = ARGV[i]
		local h = redis.call('HMGET', KEYS[1], 'n:' .. name, 'r:' .. name, 'm:' .. name)
		local over = tonumber(h[1] or 0) > rev or tonumber(h[2] or 0) >= rev
		if ARGV[i + 1] == 'edit' then
			over = h[3] and (' ' .. h[3]):find(' ' .. ARGV[4] .. ' ', 1, true)
				-- An older worker settles edits without a list of them.
				or tonumber(h[2] or 0) == rev
		end
		if not over then
			return 0
		end
		if ARGV[i + 1] ~= 'edit' and h[2] ~= ARGV[4] then
			how = 's'
		end
	end
end
-- For a producer that has yet to open it. The record of an edit, which had a place,
-- may be begin's.
local open, placed = redis.call('HDEL', KEYS[3], ARGV[1]), redis.call('ZREM', KEYS[2], ARGV[1])
if open == 0 or placed == 1 then
	redis.call('SET', KEYS[5], '1', 'EX', 60)
end
if ARGV[2] ~= '' and (ARGV[3] ~= '' or redis.call('GETRANGE', KEYS[4], ARGV[2], ARGV[2]) == 'w') then
	redis.call('SETRANGE', KEYS[4], ARGV[2], how)
	redis.call('PEXPIRE', KEYS[4], ARGV[5])
end
return 1
