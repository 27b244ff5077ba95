-- Allows no slot for a while, and voids those that are booked.
-- Own arguments: duration
-- Returns { now, epoch, end of the pause, share in thousandths, spread, values
-- dropped }
local share = share_now()
stop(now + min(tonumber(ARGV[base + 1]), LONGEST_PAUSE), share)
save()
return { now, s.epoch, s.pause, share, s.spread, table.concat(dropped, ' ') }
