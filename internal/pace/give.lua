-- Takes back what was booked and is not used: slots whose calls do not leave,
-- and calls that the platform did not count.
-- own arguments: epoch of the slots · calls not counted · slot …
-- Returns the calls of the month.
local epoch, uncounted = tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2])
local n = #ARGV - base - 2
for i = 1, n do
	local slot = tonumber(ARGV[base + 2 + i])
	if slot > now and epoch == s.epoch and #free < FREE_MOST then
		free[#free + 1] = slot
	end
end
s.day_calls = math.max(0, s.day_calls - n - uncounted)
spent = math.max(0, spent - n - uncounted)
save()
return spent
