-- Writes fields and blocks of a run, if the fields that the writer has read are still the
-- same. Returns {'ok'}, or the name and the value of the first field that is not.
local run = KEYS[1]
local FIRST_BLOCK = 2 -- the other keys

local keep_ms = ARGV[1] -- of the run; '0': the keys keep their time to live
local conditions = tonumber(ARGV[2]) -- then field and value of each; '' is a missing field
local at = 3
for _ = 1, conditions do
	local field, want = ARGV[at], ARGV[at + 1]
	local value = redis.call('HGET', run, field) or ''
	if value ~= want then
		return { field, value }
	end
	at = at + 2
end

for k = FIRST_BLOCK, #KEYS do
	redis.call('SET', KEYS[k], ARGV[at], 'PX', keep_ms)
	at = at + 1
end
-- Then field and value of all that is set; '' removes the field.
for i = at, #ARGV, 2 do
	if ARGV[i + 1] == '' then
		redis.call('HDEL', run, ARGV[i])
	else
		redis.call('HSET', run, ARGV[i], ARGV[i + 1])
	end
end
if keep_ms ~= '0' then
	redis.call('PEXPIRE', run, keep_ms)
end
return { 'ok' }
