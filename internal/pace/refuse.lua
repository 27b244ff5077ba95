-- Applies a refusal for the rate: pauses the lane, and learns.
-- Own arguments: slot of the call · length of the window, 0 if unknown · how long the
-- platform asks to wait, 0 if not given
-- Returns { now, epoch, end of the pause, share in thousandths, spread, values
-- dropped }
local slot, period, after = tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3])
local window = limits[1].per
local pause = LONE
if after > 0 then
	pause = after
elseif period > window then
	pause = period
elseif s.refused_at > 0 and now - s.refused_at < window then
	pause = window
end
s.refused = s.refused + 1
s.refused_at = now
local share = share_now()
local full = share == WHOLE and s.run > 0 and slot - s.run >= window
if slot > s.learned and period <= window then
	if full then
		s.before, s.bad, s.bad_at = s.spread, s.spread, now
		s.spread = math.min(math.max(s.spread + math.floor(s.spread * 15 / 100) + 1, s.bad + CLEAR), most)
	else
		if s.before > 0 and now - s.learned < 2 * window then
			s.spread, s.bad = s.before, 0
		end
		local kept = KEPT
		if s.cut_at > 0 and now - s.cut_at < 3 * window then
			kept = KEPT_AGAIN
		end
		s.share, s.share_at, s.cut_at = math.max(LEAST_SHARE, math.floor(share * kept / 1000)), now, now
		s.before = 0
		share = s.share
	end
	s.learned = now
end
stop(now + min(pause, LONGEST_PAUSE), share)
save()
return { now, s.epoch, s.pause, share, s.spread, table.concat(dropped, ' ') }
