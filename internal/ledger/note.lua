-- Notes how far a task is, and removes unknown outcomes that a clear answer settled. The
-- lease is kept. Returns 'ok', or 'lost' if another attempt has it.
local target = KEYS[1]
local owner = ARGV[1]
local entry, note = ARGV[2], ARGV[3] -- the entry is PROGRESS or REFUSED of layout.go
local FIRST = 4 -- then entries to remove

if redis.call('HGET', target, LEASE_OWNER) ~= owner then
	return 'lost'
end
redis.call('HSET', target, entry, note)
for i = FIRST, #ARGV do
	redis.call('HDEL', target, ARGV[i])
end
return 'ok'
