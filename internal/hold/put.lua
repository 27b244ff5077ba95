-- Sets a hold, or brings one up to date.
-- KEYS[1] all holds · ARGV[1] field · ARGV[2] the hold, JSON
-- Returns { 'entered' | 'changed' | 'same', the hold as stored }
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
	return { 'entered', ARGV[2] }
end
local old, new = cjson.decode(before), cjson.decode(ARGV[2])
local word = 'changed'
if old.class == new.class and old.reason == new.reason and old.bulk == new.bulk then
	word = 'same'
	if old['until'] == new['until'] then
		return { word, before }
	end
end
-- One that goes on keeps its beginning and its probes.
if old.class == new.class and old.probe == new.probe then
	new.since, new.next, new.tries = old.since, old.next, old.tries
end
local stored = cjson.encode(new)
redis.call('HSET', KEYS[1], ARGV[1], stored)
return { word, stored }
