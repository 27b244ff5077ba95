-- Writes down again what a Redis that lost its memory may have forgotten: that
-- fields were applied, or that what was sent for them was never settled. What it
-- knows of newer ones stays.
-- KEYS[1] target hash · ARGV[1] revision · ARGV[2] keep, ms · ARGV[3] applied or sent
-- ARGV[4] until when a value that is set once is locked, Unix s
-- ARGV[5…] field name, mode, value, and the value wished for if that was another,
-- else ''; for a field of mode once that was sent, value is its intent; and so on
-- Returns how many fields had been forgotten.
local rev, forgotten, set, gone = tonumber(ARGV[1]), 0, {}, {}
local function put(field, value)
	set[#set + 1] = field
	set[#set + 1] = value
end
for i = 5, #ARGV, 4 do
	local name, mode, value, wished = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local h = redis.call('HMGET', KEYS[1], 'r:' .. name, 'd:' .. name, 'n:' .. name)
	local doubt = tonumber((h[2] or ''):match('^%d+') or 0)
	if mode == 'edit' or tonumber(h[1] or 0) >= rev or ARGV[3] == 'sent' and doubt > 0 then
		-- It is known, or something newer is.
	elseif ARGV[3] == 'sent' then
		forgotten = forgotten + 1
		put('d:' .. name, ARGV[1])
		if mode == 'once' then
			put('i:' .. name, value)
		end
	else
		forgotten = forgotten + 1
		put('r:' .. name, ARGV[1])
		if mode ~= 'effect' then
			put('v:' .. name, value)
			if wished ~= '' then
				put('w:' .. name, wished)
			else
				gone[#gone + 1] = 'w:' .. name
			end
		end
		if mode == 'once' then
			put('l:' .. name, ARGV[4] .. ' applied')
		end
		if doubt <= rev then
			gone[#gone + 1] = 'd:' .. name
			gone[#gone + 1] = 'i:' .. name
		end
	end
	if tonumber(h[3] or 0) < rev then
		put('n:' .. name, ARGV[1])
	end
end
if forgotten > 0 then
	if tonumber(redis.call('HGET', KEYS[1], 'rev') or 0) < rev then
		put('rev', ARGV[1])
	end
	redis.call('HSET', KEYS[1], unpack(set))
	if #gone > 0 then
		redis.call('HDEL', KEYS[1], unpack(gone))
	end
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return forgotten
