-- Gives up the place among the edits of a task that was not stored.
-- KEYS[1] open edits · ARGV[1] task id
return redis.call('ZREM', KEYS[1], ARGV[1])
