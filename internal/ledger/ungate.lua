-- Takes back what the last look noted: the send did not leave, or left and was
-- refused unread. The target stays ours unless ARGV[2] says to let it go.
-- KEYS[1] target hash · ARGV[1] owner · ARGV[2] 1: let the target go
-- ARGV[3…] field name, and what to take back: once, one send of a value that is
-- set once · clean, all of them · answered, only that the answer is still to come ·
-- else the doubt; and so on
-- Returns 'lost' if it is another's by now, 'gone' if it is nobody's: it was let go
-- before, or another has come and gone.
local own = redis.call('HGET', KEYS[1], 'own')
if own ~= ARGV[1] then
	return own and 'lost' or 'gone'
end
for i = 3, #ARGV, 2 do
	local name = ARGV[i]
	if ARGV[i + 1] == 'once' then
		local intent = redis.call('HGET', KEYS[1], 'i:' .. name)
		local sends, rest = (intent or ''):match('^(%d+)( .*)$')
		if sends and tonumber(sends) > 1 then
			redis.call('HSET', KEYS[1], 'i:' .. name, (sends - 1) .. rest)
		else
			redis.call('HDEL', KEYS[1], 'i:' .. name, 'd:' .. name)
		end
	elseif ARGV[i + 1] == 'answered' then
		local doubt = redis.call('HGET', KEYS[1], 'd:' .. name)
		if doubt then
			redis.call('HSET', KEYS[1], 'd:' .. name, doubt:match('^%d+') .. ' answered')
		end
	elseif ARGV[i + 1] == 'clean' then
		redis.call('HDEL', KEYS[1], 'i:' .. name, 'd:' .. name)
	else
		redis.call('HDEL', KEYS[1], 'd:' .. name)
	end
end
if ARGV[2] == '1' then
	redis.call('HDEL', KEYS[1], 'own', 'until')
end
return 'ok'
