-- Reads what a list of entries shows.
-- KEYS: the lease of the leader, and for each entry: state, history, ticks
-- ARGV: the names of the fields of a tick
-- Returns '1' if a worker leads, and a list for each entry: when it was paused, by whom and why, and the id and the fields of
-- its newest tick; '' stands for none. Of an entry with a key of another type: 'damaged' and that key.
local function entry(at)
	local one = {}
	local state = redis.pcall('HMGET', KEYS[at], 'paused', 'paused_by', 'paused_reason')
	if state.err then
		return { 'damaged', KEYS[at] }
	end
	for k, value in ipairs(state) do
		one[k] = value or ''
	end
	local newest = redis.pcall('ZRANGE', KEYS[at + 1], -1, -1)
	if newest.err then
		return { 'damaged', KEYS[at + 1] }
	end
	local id = newest[1]
	one[4] = id or ''
	if not id then
		return one
	end
	local names = {}
	for k, field in ipairs(ARGV) do
		names[k] = id .. ':' .. field
	end
	local tick = redis.pcall('HMGET', KEYS[at + 2], unpack(names))
	if tick.err then
		return { 'damaged', KEYS[at + 2] }
	end
	for k, value in ipairs(tick) do
		one[4 + k] = value or ''
	end
	return one
end

local answer = { tostring(redis.call('EXISTS', KEYS[1])) }
for at = 2, #KEYS, 3 do
	answer[#answer + 1] = entry(at)
end
return answer
