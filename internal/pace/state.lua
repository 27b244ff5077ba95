-- The first part of all scripts of a lane: its state, and the arithmetic of the Model in
-- oracle_test.go, which explains each step. A test compares the two.
-- KEYS[1] the hash of the lane · KEYS[2] the hash of the organisation, a count for each
-- month and each of its days
-- ARGV[1] metered, 0 or 1 · ARGV[2] quota of the month, 0 for none · ARGV[3] its
-- reserve
-- ARGV[4] initial spread · ARGV[5] smallest spread · ARGV[6] largest spread
-- ARGV[7] calls of a day, 0 for no limit · ARGV[8] number of spaced limits,
-- then for each: its length, calls, burst. Times are in microseconds.
local LONE, REMEMBERED, CLEAR, WINDOWS, STEPS = 100000, 3600000000, 2000, 5, 100
local KEPT, KEPT_AGAIN, LEAST_SHARE, GROWTH, WHOLE = 850, 750, 50, 30, 1000
local FREE_MOST, LONGEST, HORIZON, KEEP = 64, 60000000, 1000000, 7776000
local LONGEST_PAUSE, SET_BACK, DAY = 3600000000, 1000000, 86400000000
local COUNT, CALLS_A_MONTH = 1000000000000, 1000000000

local call, floor, max, min = redis.call, math.floor, math.max, math.min
local function text(n) return string.format('%.0f', n) end

local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local metered, quota, reserve = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local start, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local daily = tonumber(ARGV[7])
local limits = {}
for i = 1, tonumber(ARGV[8]) do
	local a = 8 + (i - 1) * 3
	limits[i] = {
		per = tonumber(ARGV[a + 1]), calls = tonumber(ARGV[a + 2]),
		burst = tonumber(ARGV[a + 3]),
	}
end
local base = 8 + #limits * 3 -- index before the script's own arguments

-- Fields that hold a number. They are read with one command: half the cost of a booking
-- is reading and writing.
local names = {
	'seq', 'pause', 'epoch', 'start', 'spread', 'bad', 'bad_at', 'share', 'share_at', 'cut_at', 'run', 'learned', 'before',
	'refused_at', 'refused', 'day_calls', 'mark_at', 'mark_seq', 'old_at', 'old_seq', 'clock',
	'day', 'free', 'gave',
}
local numbers = #names - 3
for i = 1, #limits do
	names[numbers + 3 + i] = 'next:' .. ARGV[9 + (i - 1) * 3]
end
local values = call('HMGET', KEYS[1], unpack(names))
local s, written = {}, {}
-- Lua would read "inf" as a number.
local function number(value)
	return value and #value <= 17 and string.match(value, '^-?%d+$') and tonumber(value) or nil
end
-- What is no number, or more than its field can have been, is dropped. As nothing is
-- known of the calls of the last window then, one window is waited for.
local dropped, waits = {}, false
local function drop(name)
	dropped[#dropped + 1], waits = name, true
end
local most_of = {
	seq = COUNT, epoch = COUNT, start = DAY, spread = DAY, bad = DAY, share = WHOLE, before = DAY, refused = COUNT,
	day_calls = COUNT,
}
for i = 1, numbers do
	local name, n = names[i], number(values[i])
	s[name], written[i] = n or 0, n
	if values[i] and not n or most_of[name] and (s[name] < 0 or s[name] > most_of[name]) then
		s[name] = 0
		drop(name)
	end
end
local day, gave, free = values[numbers + 1] or '', values[numbers + 3] or '', {}
for at in string.gmatch(values[numbers + 2] or '', '%d+') do
	free[#free + 1] = tonumber(at)
end
local nexts = {}
for i = 1, #limits do
	local value = values[numbers + 3 + i]
	nexts[i] = number(value) or 0
	if value and not number(value) then
		drop(names[numbers + 3 + i])
	end
end

-- A clock that was set back takes all times with it.
local past = { 'bad_at', 'share_at', 'cut_at', 'run', 'learned', 'refused_at', 'mark_at', 'old_at' }
local back = s.clock - now
if back > SET_BACK then
	s.pause = max(0, s.pause - back)
	for _, name in ipairs(past) do
		s[name] = max(0, s[name] - back)
	end
	for i = 1, #limits do
		nexts[i] = max(0, nexts[i] - back)
	end
	free = {}
	s.epoch = s.epoch + 1
	if back > DAY then
		dropped[#dropped + 1] = 'clock'
	end
end
s.clock = now

-- So is what is further ahead than it can have been written.
for _, name in ipairs(past) do
	if s[name] > now + HORIZON + SET_BACK then
		s[name] = now
		dropped[#dropped + 1] = name
	end
end
if s.pause > now + LONGEST_PAUSE + HORIZON then
	s.pause = 0
	drop('pause')
end
for i, l in ipairs(limits) do
	local slowest = math.ceil((l.per + most) * WHOLE / ((l.calls - l.burst) * LEAST_SHARE))
	if nexts[i] > now + HORIZON + l.per + (l.burst + 1) * slowest then
		nexts[i] = now
		drop('next:' .. text(l.per))
	end
end
local near_free = {}
for _, at in ipairs(free) do
	if at <= now + HORIZON + SET_BACK then
		near_free[#near_free + 1] = at
	end
end
if #near_free < #free then
	free = near_free
	drop('free')
end
if waits then
	s.pause = max(s.pause, now + min(limits[#limits].per, LONGEST) + HORIZON)
	s.epoch = s.epoch + 1
	free = {}
end

-- The date in Asia/Shanghai, computed by counting days from 1 March.
local function shanghai(us)
	local z = floor((us / 1000000 + 28800) / 86400) + 719468
	local era = floor(z / 146097)
	local doe = z - era * 146097
	local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
	local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
	local mp = floor((5 * doy + 2) / 153)
	local d, m, y = doy - floor((153 * mp + 2) / 5) + 1, mp + 3, yoe + era * 400
	if m > 12 then
		m, y = m - 12, y + 1
	end
	local date = string.format('%04d-%02d-%02d', y, m, d)
	return string.sub(date, 1, 7), date
end

local month, today = shanghai(now)
local spent, said, day_known, month_known, urgent_calls = 0, false, false, false, 0
if metered then
	local h = call('HMGET', KEYS[2], month, month .. ':said', 'quota', today)
	month_known, day_known = h[1], h[4]
	spent, said = number(h[1] or '0'), h[2] and true
	if not spent or spent < 0 or spent > CALLS_A_MONTH then
		return { err = 'DAMAGED the count of month ' .. month .. ' is no number' }
	end
	-- The quota of the worker that was last configured applies to all.
	local calls, kept = string.match(h[3] or '', '^(%d+) (%d+)')
	if calls then
		quota, reserve = tonumber(calls), tonumber(kept)
	end
end
local spent_before = spent
if s.start ~= start then
	s.start, s.spread, s.bad = start, start, 0
end
if s.share == 0 then
	s.share = WHOLE
end
if s.spread == 0 then
	s.spread = start
end
s.spread = min(s.spread, most) -- a worker with longer windows may have written it
if day ~= today then
	day, s.day_calls = today, 0
end

local function share_now()
	return min(WHOLE, s.share + floor(max(now - s.share_at, 0) * GROWTH / 1000000))
end

local function interval(l, share)
	return math.ceil((l.per + s.spread) * WHOLE / ((l.calls - l.burst) * share))
end

local function stop(till, share)
	local first = interval(limits[1], share)
	local void = floor(max(0, nexts[1] - limits[1].burst * first - now - 1) / first)
	for i, l in ipairs(limits) do
		nexts[i] = nexts[i] - void * interval(l, share)
	end
	free = {}
	s.epoch = s.epoch + 1
	s.pause = max(s.pause, till)
end

-- save writes the fields that have changed.
local function save()
	-- The number of slots of the last ten seconds or more, for status displays.
	if now - s.mark_at >= 10000000 then
		s.old_at, s.old_seq, s.mark_at, s.mark_seq = s.mark_at, s.mark_seq, now, s.seq
		call('EXPIRE', KEYS[1], KEEP)
	end
	local out = {}
	local function put(i, value)
		out[#out + 1] = names[i]
		out[#out + 1] = value
	end
	for i = 1, numbers do
		local n = s[names[i]]
		if written[i] ~= n then
			put(i, text(n))
		end
	end
	for i = 1, #free do
		free[i] = text(free[i])
	end
	for i, value in ipairs({ day, table.concat(free, ' '), gave }) do
		if values[numbers + i] ~= value then
			put(numbers + i, value)
		end
	end
	for i = 1, #limits do
		put(numbers + 3 + i, text(nexts[i]))
	end
	call('HSET', KEYS[1], unpack(out))
	if metered and spent ~= spent_before then
		-- The field of a day holds the count of the month when the day ended, for people.
		call('HSET', KEYS[2], month, text(spent), today, text(spent))
		local its_month, yesterday = shanghai(now - DAY)
		if not day_known and its_month == month then
			call('HSET', KEYS[2], yesterday, text(spent_before))
		end
		if not month_known then -- the days of the month before are not shown any more
			local last, old = shanghai(now - tonumber(string.sub(today, -2)) * DAY), {}
			for d = 1, 31 do
				old[2 * d - 1] = string.format('%s-%02d', last, d)
				old[2 * d] = old[2 * d - 1] .. ':urgent'
			end
			call('HDEL', KEYS[2], unpack(old))
		end
		if urgent_calls > 0 then
			redis.pcall('HINCRBY', KEYS[2], today .. ':urgent', urgent_calls)
		end
	end
end
