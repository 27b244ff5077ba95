-- Gives up the place among the edits of a task that was not stored, or has ended.
-- KEYS[1] open edits · KEYS[2] records of open tasks · ARGV[1] task id
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
	return 0 -- it is carried out after all, in that place
end
return redis.call('ZREM', KEYS[1], ARGV[1])
