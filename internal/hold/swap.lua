-- Changes or removes a hold if it is still the one that the caller knows.
--    KEYS[1] all holds · ARGV[1] field · ARGV[2] the hold as the caller knows it, JSON
--    ARGV[3] the fields to change, JSON, an empty string removes a field; '' removes the hold
--    ARGV[4] names of the fields that must not differ
--    Returns the hold as stored, 'removed', or false if it was changed.
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
	return false
end
local sound, now = pcall(cjson.decode, stored)
if stored ~= ARGV[2] then
	local known = cjson.decode(ARGV[2])
	if not sound or type(now) ~= 'table' then
		return false
	end
	for name in string.gmatch(ARGV[4], '%a+') do
		if now[name] ~= known[name] then
			return false
		end
	end
end
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
	return 'removed'
end
for name, value in pairs(cjson.decode(ARGV[3])) do
	if value == '' then
		value = nil
	end
	now[name] = value
end
stored = cjson.encode(now)
redis.call('HSET', KEYS[1], ARGV[1], stored)
return stored
