-- Takes back bookings that are not used: slots whose calls do not leave, and calls that
-- the platform did not count.
-- Own arguments: a token for this call, the same in a repeated command · for each
-- booking: slot, 0 for a call that left but was not counted; its epoch; the time of the
-- booking
-- Returns the values that were dropped.
local word = ARGV[base + 1]
if string.find(' ' .. gave .. ' ', ' ' .. word .. ' ', 1, true) then
	return ''
end
gave = string.sub(word .. ' ' .. gave, 1, 400)
for i = base + 2, #ARGV, 3 do
	local slot, epoch, counted = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
	if slot > now and epoch == s.epoch and #free < FREE_MOST then
		free[#free + 1] = slot
	end
	local its_month, its_day = shanghai(counted)
	if its_day == day then
		s.day_calls = math.max(0, s.day_calls - 1)
	end
	if its_month == month then
		spent = math.max(0, spent - 1)
	end
end
save()
return table.concat(dropped, ' ')
