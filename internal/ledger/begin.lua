-- Asks whether a task still needs a call, and takes its target if it does.
-- KEYS[1] target hash · KEYS[2] its open edits · KEYS[3] records of open tasks ·
-- KEYS[4] the task's run (KEYS[3] for none) · KEYS[5] that it has ended
-- ARGV[1] owner · ARGV[2] how long the mark lasts, ms · ARGV[3] keep, ms
-- ARGV[4] revision · ARGV[5] task id · ARGV[6] row, '' for none
-- ARGV[7] 1: the send follows at once, so note the doubt now
-- ARGV[8] its record, if it holds an edit, else '' · ARGV[9] how long a run is kept, ms
-- ARGV[10…] field name, mode, value; and so on
-- Returns {'busy', ms left}, {'behind', place in line, task before it}, or
-- {'go' | 'done', a standing a field …}; what a standing tells more follows it
-- after bars, and after those of 'go' the time, Unix s.
local t = redis.call('TIME')
local seconds = tonumber(t[1])
local now = seconds * 1000 + math.floor(t[2] / 1000)
-- All that is asked of every field is read at once.
local asked = { 'own', 'until' }
for i = 10, #ARGV, 3 do
	for _, what in ipairs({ 'n:', 'r:', 'v:', 'd:', 'w:', 'q:' }) do
		asked[#asked + 1] = what .. ARGV[i]
	end
end
local mark = redis.call('HMGET', KEYS[1], unpack(asked))
local rev = tonumber(ARGV[4])
-- Whoever held the target died with it. Redis may have lost its doubt and kept its
-- mark, which is older.
local abandoned = mark[1] and mark[1] ~= ARGV[1]

-- An older worker settles an edit without a list of those that were.
local function settled(name)
	local h = redis.call('HMGET', KEYS[1], 'm:' .. name, 'r:' .. name, 'd:' .. name)
	return (' ' .. (h[1] or '')):find(' ' .. ARGV[4] .. ' ', 1, true) or h[2] == ARGV[4] and not h[3]
end

-- An edit that was met stands in line until it ends. Its producer may have died
-- before it noted that it is stored; with its record it is missed if it vanishes.
local inLine = false
for i = 10, #ARGV, 3 do
	inLine = inLine or ARGV[i + 1] == 'edit' and not settled(ARGV[i])
end
if inLine then
	redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
	redis.call('PEXPIRE', KEYS[2], ARGV[3])
	redis.call('HSETNX', KEYS[3], ARGV[5], ARGV[8])
end

if mark[1] and mark[1] ~= ARGV[1] and tonumber(mark[2]) > now then
	return { 'busy', tostring(tonumber(mark[2]) - now) }
end

-- Edits go in the order of their revisions. One that took its place, and that
-- neither was noted as stored nor met, is passed over after two minutes.
while inLine do
	local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
	if tonumber(first[2]) >= rev then
		break
	end
	if redis.call('HEXISTS', KEYS[3], first[1]) == 1 or now * 1000 - tonumber(first[2]) < 120000000 then
		return { 'behind', tostring(redis.call('ZRANK', KEYS[2], ARGV[5])), first[1] }
	end
	redis.call('ZREM', KEYS[2], first[1])
end

local out, ended, sends, code = { 'done' }, true, {}, 'u'
for i = 10, #ARGV, 3 do
	local name, mode, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	local at = (i - 10) * 2 + 2
	local h = { mark[at + 1], mark[at + 2], mark[at + 3], mark[at + 4], mark[at + 5], mark[at + 6] }
	local newest, applied, doubt = tonumber(h[1] or 0), tonumber(h[2] or 0), h[4]
	local stale = newest > rev or applied > rev
	local standing, go = 'send', false
	if mode == 'edit' then
		if settled(name) then
			standing = 'settled'
		else
			go = true
			standing = (doubt and 'doubtful|' or 'send|') .. (redis.call('HGET', KEYS[1], 'p:' .. ARGV[4]) or '0')
				.. (doubt and not doubt:find(' answered', 1, true) and '|late' or '')
		end
	elseif stale then
		standing = 'superseded'
	elseif mode == 'once' and doubt then
		-- Whoever comes learns what is in doubt, for nothing else may be sent; once
		-- it was given up to a person, not even that.
		local given = (redis.call('HGET', KEYS[1], 'l:' .. name) or ''):find(' unverified', 1, true) ~= nil
		go, ended = not given, not given
		standing = (given and 'unverified|' or 'doubtful|') .. now .. '|' .. (redis.call('HGET', KEYS[1], 'i:' .. name) or '')
	elseif applied == rev and not doubt then
		standing = 'settled'
	elseif mode ~= 'effect' and applied > 0 and (h[3] == value or h[5] == value) and not doubt and not h[6] then
		if abandoned and mode == 'value' then
			go, standing = true, 'doubtful|0'
			redis.call('HSET', KEYS[1], 'd:' .. name, ARGV[4] .. ' answered') -- stays until a send is settled
		else
			standing = 'unchanged'
			redis.call('HSET', KEYS[1], 'r:' .. name, ARGV[4])
		end
	elseif mode == 'once' then
		local lock = redis.call('HGET', KEYS[1], 'l:' .. name)
		if lock and tonumber(lock:match('^%d+')) > seconds then
			standing, ended = 'locked|' .. lock, false
		else
			go = true
			local step = redis.call('HGET', KEYS[1], 'k:' .. name) or ''
			standing = standing .. '|' .. (step:match('^' .. ARGV[4] .. ' (%d+)$') or '0')
		end
	else
		go = true
		if doubt or h[6] then
			standing = 'doubtful|' .. (doubt and not doubt:find(' answered', 1, true) and '1' or '0')
		end
	end
	if go then
		out[1] = 'go'
		if mode ~= 'once' then
			sends[#sends + 1] = 'd:' .. name
		end
	end
	if standing == 'superseded' then
		code = 's'
	elseif standing == 'settled' and code ~= 's' then
		code = 't'
	end
	out[#out + 1] = standing
end

if out[1] == 'go' then
	local set = { 'own', ARGV[1], 'until', now + ARGV[2] }
	if ARGV[7] == '1' then
		for _, field in ipairs(sends) do
			set[#set + 1] = field
			set[#set + 1] = ARGV[4]
		end
	end
	redis.call('HSET', KEYS[1], unpack(set))
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
	out[#out + 1] = t[1]
elseif ended then
	-- For a producer that has yet to open it. The record of an edit may be ours.
	if redis.call('HDEL', KEYS[3], ARGV[5]) == 0 or ARGV[8] ~= '' then
		redis.call('SET', KEYS[5], '1', 'EX', 60)
	end
	redis.call('ZREM', KEYS[2], ARGV[5])
	if ARGV[6] ~= '' then
		local was = redis.call('GETRANGE', KEYS[4], ARGV[6], ARGV[6])
		if code ~= 't' or was ~= 'a' then
			redis.call('SETRANGE', KEYS[4], ARGV[6], code)
		end
		if was == '' then -- perhaps there was nothing, as its producer has not come to it
			redis.call('PEXPIRE', KEYS[4], ARGV[9])
		end
	end
end
return out
