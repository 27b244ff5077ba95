-- A person resolves an unknown outcome of a value that can be set once.
--
-- Returns {'ok', value, task id}, {'none'} or {'busy'}.
local target, effects, targets_unknown = KEYS[1], KEYS[2], KEYS[3]
local targets = KEYS[5] -- all targets, by the time when they were confirmed last, Unix s
local last_changed = KEYS[4] -- when a value that can be set once was last applied, to any target, Unix s
local field, answer, keep_ms = ARGV[1], ARGV[2], ARGV[3] -- answer: confirm or reject
local target_key = ARGV[4]
local locked_s = ARGV[5] -- how long a value that can be set once is locked
local person = ARGV[6]
local last_changed_kept_ms = ARGV[7]

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local lease = redis.call('HMGET', target, LEASE_OWNER, LEASE_UNTIL)
if lease[1] and tonumber(lease[2]) > now_ms then
	return { 'busy' }
end

local held = redis.call('HMGET', target, UNKNOWN .. field, INTENT .. field, APPLIED .. field)
local unknown, intent, applied = held[1], held[2] or '', tonumber(held[3] or 0)
if not unknown then
	return { 'none' }
end
-- A worker of schema 1 notes no intent: its value is not known.
local sent_ms, revision, task, value = intent:match('^%d+ (%d+) (%d+) (%S+) (.*)$')
revision, value = revision or unknown, value or ''

if answer == 'confirm' then
	if tonumber(revision) > applied then
		redis.call('HSET', target, APPLIED .. field, revision)
	end
	local set_s = sent_ms and math.floor(sent_ms / 1000) or tonumber(clock[1])
	local lock = string.format('%.0f', set_s + locked_s) .. BY_CHANGE
	redis.call('HSET', target, APPLIED_VALUE .. field, value, LOCK .. field, lock)
	redis.call('HDEL', target, WANTED_VALUE .. field)
	redis.pcall('ZADD', targets, clock[1], target_key)
	redis.call('SET', last_changed, clock[1], 'PX', last_changed_kept_ms)
else
	redis.call('HDEL', target, LOCK .. field)
end
redis.call('HDEL', target, UNKNOWN .. field, INTENT .. field, LEASE_OWNER, LEASE_UNTIL)
redis.call('ZREM', targets_unknown, target_key)

local event = cjson.encode({ by = person, did = answer, task = task, set = { [field] = value } })
redis.call('LPUSH', effects, clock[1] .. ' ' .. event)
redis.call('LTRIM', effects, 0, 9)
redis.call('PEXPIRE', effects, keep_ms)
redis.call('PEXPIRE', target, keep_ms)
return { 'ok', value, task or '' }
