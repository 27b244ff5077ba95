-- Reads Redis' clock and what is recorded about entries.
-- KEYS for each entry: state, ticks, open ticks
-- Returns the time in s and in µs of that second, and a list for each entry: the time up to which it is decided, its
-- times, when it was paused, its last tick, and the id and the state of each open tick. '' stands for none. An entry with a
-- key of another type is damaged, and that key.
local clock = redis.call('TIME')
local answer = {clock[1], clock[2]}
for i = 1, #KEYS, 3 do
	local one = {}
	for k, want in ipairs({'hash', 'hash', 'zset'}) do
		local kind = redis.call('TYPE', KEYS[i + k - 1]).ok
		if kind ~= want and kind ~= 'none' then
			one = {'damaged', KEYS[i + k - 1]}
		end
	end
	if #one == 0 then
		local state = redis.call('HMGET', KEYS[i], 'until', 'times', 'paused', 'last')
		one = {state[1] or '', state[2] or '', state[3] or '', state[4] or ''}
		for _, id in ipairs(redis.call('ZRANGE', KEYS[i + 2], 0, -1)) do
			one[#one + 1] = id
			one[#one + 1] = redis.call('HGET', KEYS[i + 1], id .. ':state') or ''
		end
	end
	answer[#answer + 1] = one
end
return answer
