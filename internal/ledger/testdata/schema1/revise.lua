-- Takes a revision for a target.
-- KEYS[1] target hash · ARGV[1] how long the hash is kept, ms
-- Revisions exceed what Lua prints as an integer, hence the format.
local t = redis.call('TIME')
local rev = t[1] * 1000000 + t[2]
local last = tonumber(redis.call('HGET', KEYS[1], 'rev') or 0)
if rev <= last then
	rev = last + 1
end
local text = string.format('%.0f', rev)
redis.call('HSET', KEYS[1], 'rev', text)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return text
