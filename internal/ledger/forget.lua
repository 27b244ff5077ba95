-- Removes what is recorded about a target, unless something of it is underway. A lock that
-- runs stays, without the value, and so does the last revision with it.
--
-- Returns 'ok', 'none', 'busy' if an attempt holds the lease, 'unknown' if an outcome is,
-- or 'waits' if a change has not ended.
local target, effects, open_edits, open_tasks = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local targets, targets_unknown = KEYS[5], KEYS[6]
local target_key = ARGV[1]

local clock = redis.call('TIME')
local now_s = tonumber(clock[1])
local now_ms = now_s * 1000 + math.floor(clock[2] / 1000)

local entries = redis.call('HGETALL', target)
local held = {}
for i = 1, #entries, 2 do
	held[entries[i]] = entries[i + 1]
end

-- of returns the field of an entry, or nil for another entry.
local function of(name, entry)
	return name:sub(1, #entry) == entry and name:sub(#entry + 1) or nil
end

local function underway()
	if held[LEASE_OWNER] and (tonumber(held[LEASE_UNTIL]) or 0) > now_ms then
		return 'busy'
	elseif redis.call('ZCARD', open_edits) > 0 then
		return 'waits'
	end
	for name, value in pairs(held) do
		if of(name, UNKNOWN) then
			return 'unknown'
		end
		local field = of(name, LATEST_TASK)
		local applied, latest = field and tonumber(held[APPLIED .. field] or 0), field and tonumber(held[LATEST .. field] or 0)
		if field and latest > applied and redis.call('HEXISTS', open_tasks, value) == 1 then
			return 'waits'
		end
	end
	return nil
end

local reason = underway()
if reason then
	return reason
end
local locks = false
for name, value in pairs(held) do
	local runs = of(name, LOCK) and (tonumber(value:match('^%d+')) or 0) > now_s
	if runs then
		locks = true
	elseif name ~= LAST_REVISION then
		redis.call('HDEL', target, name)
	end
end
if not locks then
	redis.call('DEL', target)
	redis.pcall('ZREM', targets, target_key)
end
local n = redis.call('DEL', effects)
redis.call('ZREM', targets_unknown, target_key)
return (#entries > 0 or n > 0) and 'ok' or 'none'
