-- Deletes a task if it is archived, and returns the state it had, '' for none.
-- KEYS[1] archive · KEYS[2] hash of the task · ARGV[1] its id
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
	local state = redis.call('HGET', KEYS[2], 'state')
	if state == 'archived' then -- dropped from the archive, but its hash still exists
		redis.call('DEL', KEYS[2])
	end
	return state or ''
end
local lock = redis.call('HGET', KEYS[2], 'unique_key')
redis.call('DEL', KEYS[2])
if lock and lock ~= '' and redis.call('GET', lock) == ARGV[1] then
	redis.call('DEL', lock)
end
return 'archived'
