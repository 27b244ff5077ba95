-- The last check before a send that cannot be undone. Notes what is about to be sent,
-- and how often it was.
--
-- Returns 'ok', 'lost', 'stale', or 'other' if the outcome of another value is unknown.
local target = KEYS[1]
local owner, lease_ms, revision, field, task, value, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local uncounted = ARGV[8] == '1' -- the send before this one was refused unread

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local rev = tonumber(revision)

local held = redis.call('HMGET', target, LEASE_OWNER, LATEST .. field, APPLIED .. field, UNKNOWN .. field, INTENT .. field)
local latest, applied = tonumber(held[2] or 0), tonumber(held[3] or 0)
local unknown, intent = held[4], held[5] or ''

if held[1] ~= owner then
	return 'lost'
end
if latest > rev or applied > rev then
	return 'stale'
end
local sends = 1
if unknown then
	local before, sent = intent:match('^(%d+) %d+ %d+ %S+ (.*)$')
	if sent ~= value then
		return 'other'
	end
	sends = uncounted and tonumber(before) or before + 1
end
local noted = sends .. ' ' .. now_ms .. ' ' .. revision .. ' ' .. task .. ' ' .. value
redis.call('HSET', target, UNKNOWN .. field, revision, LEASE_UNTIL, now_ms + lease_ms, INTENT .. field, noted)
redis.call('PEXPIRE', target, keep_ms)
return 'ok'
