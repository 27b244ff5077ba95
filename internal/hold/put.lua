-- Adds a hold, or updates an existing one.
--    KEYS[1] all holds · ARGV[1] field · ARGV[2] the hold, JSON
--    Returns { 'entered' | 'changed' | 'same', the hold as stored }
local before = redis.call('HGET', KEYS[1], ARGV[1])
local new = cjson.decode(ARGV[2])
-- A stored value that is not a readable hold must not prevent a new one.
local sound, old = pcall(cjson.decode, before or '')
local forms = { class = 'string', reason = 'string', since = 'string', ['until'] = 'string', next = 'string', tries = 'number' }
if not sound or type(old) ~= 'table' or not old.since then
	old = nil
end
for name, form in pairs(forms) do
	if old and old[name] ~= nil and type(old[name]) ~= form then
		old = nil
	end
end
-- A hold whose time is over does not continue, even if no worker has ended it yet.
local ends = old and old['until']
if ends and string.sub(ends, -1) == 'Z' and ends <= new.since then
	old = nil
end
if not old then
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
	return { 'entered', ARGV[2] }
end
-- The evidence accumulates while the class stays the same.
if new.seen and old.class == new.class and type(old.seen) == 'table' then
	new.seen.first = old.seen.first or new.seen.first
	new.seen.count = (tonumber(old.seen.count) or 0) + (new.seen.count or 0)
elseif old.class == new.class and not new.seen then
	new.seen = old.seen
end
local word = 'changed'
if old.class == new.class and old.reason == new.reason and (old.bulk or false) == (new.bulk or false) then
	if old['until'] == new['until'] then
		if new.seen and new.seen ~= old.seen then
			old.seen = new.seen
			before = cjson.encode(old)
			redis.call('HSET', KEYS[1], ARGV[1], before)
		end
		return { 'same', before }
	end
	-- Each refusal moves the end of an automatic hold.
	if new.class ~= 'operator' then
		word = 'same'
	end
end
-- A hold that continues keeps its start and its probes.
if old.class == new.class and old.probe == new.probe then
	new.since, new.next, new.tries, new.probing = old.since, old.next, old.tries, old.probing
end
local stored = cjson.encode(new)
redis.call('HSET', KEYS[1], ARGV[1], stored)
return { word, stored }
