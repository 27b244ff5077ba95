-- Closes a dead letter: removes it, and keeps a record of that.
-- KEYS[1…4] as in bury.lua · KEYS[5] the lane's closed letters, the newest first
-- ARGV[1] task id · ARGV[2] the letter's place: its time, 16 digits, and its cause
-- ARGV[3] the record · ARGV[4] how many are kept · ARGV[5] for how long, ms
-- Returns 1 if it was there. One that was written again since stays.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
	return 0
end
local member, cause = ARGV[2]:sub(1, 16) .. ARGV[1], ARGV[2]:sub(17)
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], member)
redis.call('ZREM', KEYS[4] .. ':' .. cause, member)
if redis.call('HINCRBY', KEYS[4], cause, -1) <= 0 then
	redis.call('HDEL', KEYS[4], cause)
end
redis.call('LPUSH', KEYS[5], ARGV[3])
redis.call('LTRIM', KEYS[5], 0, ARGV[4] - 1)
redis.call('PEXPIRE', KEYS[5], ARGV[5])
return 1
