-- Repairs what is damaged, unless it has changed since it was read. Returns 1 if it did.
local key = KEYS[1]
local entry = ARGV[1] -- of a hash, or a member of a set or a sorted set; '': the key as a whole
local found = ARGV[2] -- the value or score that it has, or the type of the key
local becomes = ARGV[3] -- the value or score that it gets; '': it is removed

local kind = redis.call('TYPE', key).ok
if entry == '' then
	return kind == found and redis.call('DEL', key) or 0
elseif kind == 'hash' and redis.call('HGET', key, entry) == found then
	if becomes == '' then
		return redis.call('HDEL', key, entry)
	end
	redis.call('HSET', key, entry, becomes)
	return 1
elseif kind == 'zset' then
	local score = redis.call('ZSCORE', key, entry)
	if score ~= found and not (score and tonumber(score) == tonumber(found)) then
		return 0
	elseif becomes == '' then
		return redis.call('ZREM', key, entry)
	end
	redis.call('ZADD', key, becomes, entry)
	return 1
elseif kind == 'set' then
	return redis.call('SREM', key, entry)
elseif kind == 'string' and entry == 'value' and redis.call('GET', key) == found then
	return redis.call('DEL', key)
end
return 0
