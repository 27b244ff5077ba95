-- Takes revisions for a block of wishes, in their order.
-- KEYS two a wish: its target hash, the open edits of that target
-- ARGV[1] how long a hash is kept, ms; then for each wish: task id · 1 if it
-- takes its place among the edits now · source, '' for none · number · how many
-- fields · their names
-- Returns for each the revision, or 'older' if the source has said more since of
-- every field, or 'mixed' if of some.
-- Revisions exceed what Lua prints as an integer, hence the format.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local out, i = {}, 2
for k = 1, #KEYS, 2 do
	local id, place, source, number, count = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
	i = i + 5
	local older = 0
	if source ~= '' then
		for f = i, i + count - 1 do
			if tonumber(redis.call('HGET', KEYS[k], 's:' .. source .. ':' .. ARGV[f]) or '-1') > number then
				older = older + 1
			end
		end
	end
	if older > 0 then
		out[#out + 1] = older == count and 'older' or 'mixed'
	else
		local rev = math.max(now, tonumber(redis.call('HGET', KEYS[k], 'rev') or 0) + 1)
		local text = string.format('%.0f', rev)
		redis.call('HSET', KEYS[k], 'rev', text)
		if source ~= '' then
			for f = i, i + count - 1 do
				redis.call('HSET', KEYS[k], 's:' .. source .. ':' .. ARGV[f], string.format('%.0f', number))
			end
		end
		if place == '1' then
			-- NX: a task that others store under the same id keeps its first place.
			redis.call('ZADD', KEYS[k + 1], 'NX', text, id)
			redis.call('PEXPIRE', KEYS[k + 1], ARGV[1])
		end
		redis.call('PEXPIRE', KEYS[k], ARGV[1])
		out[#out + 1] = text
	end
	i = i + count
end
return out
