-- Asks whether a wish still needs a call, and takes the target if it does.
-- KEYS[1] target hash
-- ARGV[1] owner · ARGV[2] how long the mark lasts, ms · ARGV[3] keep, ms
-- ARGV[4] revision · ARGV[5…] field name, mode, value; and so on
-- Returns {'busy', ms left} or {'go' | 'done', a standing a field …}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local mark = redis.call('HMGET', KEYS[1], 'own', 'until')
if mark[1] and mark[1] ~= ARGV[1] and tonumber(mark[2]) > now then
	return { 'busy', tostring(tonumber(mark[2]) - now) }
end

local rev = tonumber(ARGV[4])
local out = { 'done' }
for i = 5, #ARGV, 3 do
	local name, mode, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	local h = redis.call('HMGET', KEYS[1], 'n:' .. name, 'r:' .. name, 'v:' .. name, 'd:' .. name, 'w:' .. name)
	local newest, applied, doubt = tonumber(h[1] or 0), tonumber(h[2] or 0), h[4]
	local standing = 'send'
	if mode ~= 'edit' and (newest > rev or applied > rev) then
		standing = 'superseded'
	elseif applied == rev and not doubt then
		standing = 'settled'
	elseif mode == 'value' and applied > 0 and (h[3] == value or h[5] == value) and not doubt then
		standing = 'unchanged'
		redis.call('HSET', KEYS[1], 'r:' .. name, ARGV[4])
	else
		out[1] = 'go'
		if doubt then
			standing = 'doubtful'
		end
	end
	out[#out + 1] = standing
end
if out[1] == 'go' then
	redis.call('HSET', KEYS[1], 'own', ARGV[1], 'until', now + ARGV[2])
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return out
