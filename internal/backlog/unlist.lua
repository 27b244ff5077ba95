-- Removes an unreadable message from asynq.
-- KEYS[1] active list · KEYS[2] leases · KEYS[3] hash of the task · ARGV[1] its id
redis.call('LREM', KEYS[1], 0, ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 'ok'
