-- Finds tasks that no list of their queue holds, or that wait for a time that cannot be
-- meant.
-- KEYS pending list, active list, scheduled, retry, leases · ARGV[1] prefix of the keys
-- of tasks, then their ids
-- Returns for each: 'lost' or 'ahead', its id, its lease, '' for none; and for each task
-- whose state is none of asynq's 'odd', its id and the state.
local pending, active, scheduled, retry, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local LONG = 1000 -- a list that is not searched for a task without a reason
local HEAD = 4 -- a task that was put back at the head has no time
local WEEK, YEARS = 7 * 24 * 3600, 10 * 365 * 24 * 3600

local now_s = tonumber(redis.call('TIME')[1])
local long = redis.call('LLEN', pending) > LONG
local oldest -- since when the tasks at the head are pending, ns
if long then
	for _, id in ipairs(redis.call('LRANGE', pending, -HEAD, -1)) do
		local since = redis.call('HGET', ARGV[1] .. id, 'pending_since')
		if since and #since == 19 and (not oldest or since < oldest) then
			oldest = since
		end
	end
end

-- after reports whether a score is later than a time; "inf" is no number to all of Lua.
local function after(score, s)
	return score and (not tonumber(score) or tonumber(score) > s)
end

local holds = {}

function holds.pending(id, task)
	if long then
		local since = redis.call('HGET', task, 'pending_since')
		if not (since and oldest and #since == #oldest and since < oldest) then
			return true -- those before it are not done yet
		end
	end
	return redis.call('LPOS', pending, id)
end

function holds.active(id)
	return redis.call('LPOS', active, id)
end

function holds.scheduled(id)
	local at = redis.call('ZSCORE', scheduled, id)
	return at, after(at, now_s + YEARS)
end

function holds.retry(id)
	local at = redis.call('ZSCORE', retry, id)
	return at, after(at, now_s + WEEK)
end

local found = {}
for i = 2, #ARGV do
	local id, task = ARGV[i], ARGV[1] .. ARGV[i]
	if redis.call('TYPE', task).ok == 'hash' then
		local state = redis.call('HGET', task, 'state') or ''
		local listed, ahead = true, false
		if holds[state] then
			listed, ahead = holds[state](id, task)
		elseif state ~= 'completed' and state ~= 'archived' and state ~= 'aggregating' then
			listed = false
			for _, holder in pairs(holds) do
				listed = listed or holder(id, task)
			end
			found[#found + 1] = 'odd'
			found[#found + 1] = id
			found[#found + 1] = state
		end
		if not listed or ahead then
			found[#found + 1] = listed and 'ahead' or 'lost'
			found[#found + 1] = id
			found[#found + 1] = redis.call('ZSCORE', leases, id) or ''
		end
	end
end
return found
