-- The last check before a send leaves: is the lease still ours, and is no later change
-- known? Notes that the outcome of the fields is unknown until they are settled.
--
-- Returns 'ok', 'lost' or 'stale'.
local target = KEYS[1]
local owner, lease_ms, revision = ARGV[1], ARGV[2], ARGV[3]
local FIRST = 4 -- then name and mode of each field

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

if redis.call('HGET', target, LEASE_OWNER) ~= owner then
	return 'lost'
end
local writes = { LEASE_UNTIL, now_ms + lease_ms }
for i = FIRST, #ARGV, 2 do
	local field, mode = ARGV[i], ARGV[i + 1]
	local held = redis.call('HMGET', target, LATEST .. field, APPLIED .. field, UNKNOWN .. field)
	-- A resend has no revision of its own: it is of the applied one.
	local sent = mode == 'resend' and held[2] or revision
	local rev = tonumber(sent)
	if mode ~= 'edit' and (tonumber(held[1] or 0) > rev or tonumber(held[2] or 0) > rev) then
		return 'stale'
	end
	writes[#writes + 1] = UNKNOWN .. field
	writes[#writes + 1] = sent
	if mode == 'value' and held[3] and held[3]:match('^%d+') ~= revision then
		writes[#writes + 1] = OTHER_SENT .. field
		writes[#writes + 1] = '1'
	end
end
redis.call('HSET', target, unpack(writes))
return 'ok'
