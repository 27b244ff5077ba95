-- Books slots, the urgent ones first.
-- Own arguments: urgent · bulk · horizon of urgent slots · horizon of the others ·
-- highest seq known · month known · calls of it known · highest epoch known · earliest
-- time of each slot …
-- Returns { now, epoch, seq, why, again, month, spent, values dropped as too far ahead, slot … }
local urgent, bulk = tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2])
local far, near = tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4])
local known, known_epoch = tonumber(ARGV[base + 5]), tonumber(ARGV[base + 8])
if known > s.seq or known_epoch > s.epoch then -- Redis lost data
	s.seq = max(s.seq, known)
	s.pause = max(s.pause, now + min(limits[#limits].per, LONGEST) + HORIZON)
	s.epoch = max(s.epoch, known_epoch) + 1
	if ARGV[base + 6] == month then
		spent = max(spent, tonumber(ARGV[base + 7]))
	end
end

local share = share_now()
local slots, why, again = {}, '', 0
for i = 1, urgent + bulk do
	local left = quota - spent
	if daily > 0 and s.day_calls >= daily then
		why = 'day'
	elseif said or (metered and quota > 0 and left <= 0) then
		why = 'month'
	elseif metered and quota > 0 and i > urgent and left <= reserve then
		why = 'reserve'
	end
	if why ~= '' then
		again = now + HORIZON
		break
	end

	local at = max(now, s.pause, tonumber(ARGV[base + 8 + i] or 0))
	local kept, pick = {}, nil
	for _, f in ipairs(free) do
		if f >= at then
			kept[#kept + 1] = f
			if not pick or f < kept[pick] then
				pick = #kept
			end
		end
	end
	free = kept
	if pick then
		at = free[pick]
	else
		for j, l in ipairs(limits) do
			at = max(at, nexts[j] - l.burst * interval(l, share))
		end
	end
	local horizon = now + (i <= urgent and far or near)
	if at > horizon then
		why, again = 'horizon', now + at - horizon + floor(near / 4)
		if s.pause > horizon then
			why, again = 'paused', s.pause
		end
		break
	end

	s.seq = s.seq + 1
	s.day_calls = s.day_calls + 1
	if metered then
		spent = spent + 1
		urgent_calls = urgent_calls + (i <= urgent and 1 or 0)
	end
	slots[#slots + 1] = at
	if pick then
		table.remove(free, pick)
	else
		if at > nexts[1] or share < WHOLE then
			s.run = at
		end
		for j, l in ipairs(limits) do
			nexts[j] = max(nexts[j], at) + interval(l, share)
		end
		if at - max(s.run, s.learned) >= WINDOWS * limits[1].per then
			local lowest = least
			if s.bad > 0 and at - s.bad_at < REMEMBERED then
				lowest = max(lowest, s.bad + CLEAR)
			end
			s.spread = min(s.spread, max(lowest, s.spread - floor(start / STEPS)))
			s.learned = at
		end
	end
end
save()
return { now, s.epoch, s.seq, why, again, month, spent, table.concat(dropped, ' '), unpack(slots) }
