-- Lets no slot be booked for a while, and voids those that are.
-- own arguments: how long
-- Returns { now, epoch, pause's end, share in thousandths, spread }
local share = share_now()
stop(now + tonumber(ARGV[base + 1]), share)
save()
return { now, s.epoch, s.pause, share, s.spread }
