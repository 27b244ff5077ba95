-- What all scripts of a lane begin with: its state, and the arithmetic of
-- model.go, where each step is explained. The two are held together by a test.
-- KEYS[1] the lane's hash · KEYS[2] the organisation's hash, a count for each month
-- ARGV[1] metered, 0 or 1 · ARGV[2] month's quota, 0 for none · ARGV[3] its reserve
-- ARGV[4] spread at the start · ARGV[5] at the least · ARGV[6] at the most
-- ARGV[7] calls of a day, 0 for no limit · ARGV[8] number of spaced limits
-- then for each: its length, calls, burst, cost. Times are microseconds.
local LONE, REMEMBERED, CLEAR, WINDOWS, STEPS = 100000, 3600000000, 2000, 5, 100
local KEPT, KEPT_AGAIN, LEAST_SHARE, GROWTH, WHOLE = 850, 750, 50, 30, 1000
local FREE_MOST, LONGEST, HORIZON, KEEP = 64, 60000000, 1000000, 7776000

local function text(n) return string.format('%.0f', n) end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local metered, quota, reserve = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local start, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local daily = tonumber(ARGV[7])
local limits = {}
for i = 1, tonumber(ARGV[8]) do
	local a = 8 + (i - 1) * 4
	limits[i] = {
		per = tonumber(ARGV[a + 1]), calls = tonumber(ARGV[a + 2]),
		burst = tonumber(ARGV[a + 3]), cost = tonumber(ARGV[a + 4]),
	}
end
local base = 8 + #limits * 4 -- where the script's own arguments begin, less one

local names = {
	'seq', 'pause', 'epoch', 'start', 'spread', 'bad', 'bad_at', 'share', 'share_at', 'cut_at', 'run', 'learned', 'before',
	'refused_at', 'refused', 'day_calls', 'mark_at', 'mark_seq', 'old_at', 'old_seq',
}
local s, written = {}, {}
local values = redis.call('HMGET', KEYS[1], unpack(names))
for i, name in ipairs(names) do
	s[name] = tonumber(values[i] or 0)
	written[name] = values[i]
end
local nexts, next_names = {}, {}
for i = 1, #limits do
	next_names[i] = 'next:' .. text(limits[i].per)
end
values = redis.call('HMGET', KEYS[1], 'day', 'free', 'gave', unpack(next_names))
local day, free, gave = values[1] or '', {}, values[3] or ''
for at in string.gmatch(values[2] or '', '%d+') do
	free[#free + 1] = tonumber(at)
end
for i = 1, #limits do
	nexts[i] = tonumber(values[3 + i] or 0)
end

-- The date in Asia/Shanghai, by counting days from the first of March.
local function shanghai(us)
	local z = math.floor((us / 1000000 + 28800) / 86400) + 719468
	local era = math.floor(z / 146097)
	local doe = z - era * 146097
	local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
	local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
	local mp = math.floor((5 * doy + 2) / 153)
	local d, m, y = doy - math.floor((153 * mp + 2) / 5) + 1, mp + 3, yoe + era * 400
	if m > 12 then
		m, y = m - 12, y + 1
	end
	return string.format('%04d-%02d', y, m), string.format('%04d-%02d-%02d', y, m, d)
end

local month, today = shanghai(now)
local spent, said = 0, false
if metered then
	local h = redis.call('HMGET', KEYS[2], month, month .. ':said', 'quota')
	spent, said = tonumber(h[1] or 0), h[2] and true
	-- What the worker that was last configured says holds for all.
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
if day ~= today then
	day, s.day_calls = today, 0
end

local function share_now()
	return math.min(WHOLE, s.share + math.floor(math.max(now - s.share_at, 0) * GROWTH / 1000000))
end

local function interval(l, share)
	return math.ceil((l.per + s.spread) * WHOLE * l.cost / ((l.calls - l.burst) * share))
end

local function stop(till, share)
	local first = interval(limits[1], share)
	local void = math.floor(math.max(0, nexts[1] - limits[1].burst * first - now - 1) / first)
	for i, l in ipairs(limits) do
		nexts[i] = nexts[i] - void * interval(l, share)
	end
	free = {}
	s.epoch = s.epoch + 1
	s.pause = math.max(s.pause, till)
end

local function save()
	-- How many slots the last ten seconds and more had, for those who look.
	if now - s.mark_at >= 10000000 then
		s.old_at, s.old_seq, s.mark_at, s.mark_seq = s.mark_at, s.mark_seq, now, s.seq
	end
	local out = {}
	for _, name in ipairs(names) do
		local value = text(s[name])
		if written[name] ~= value then
			out[#out + 1] = name
			out[#out + 1] = value
		end
	end
	for i = 1, #limits do
		out[#out + 1] = next_names[i]
		out[#out + 1] = text(nexts[i])
	end
	for i = 1, #free do
		free[i] = text(free[i])
	end
	redis.call('HSET', KEYS[1], 'day', day, 'free', table.concat(free, ' '), 'gave', gave, unpack(out))
	redis.call('EXPIRE', KEYS[1], KEEP)
	if metered and spent ~= spent_before then
		redis.call('HSET', KEYS[2], month, text(spent))
	end
end
