-- Runs the commands of asynq's and rollcall's scripts on keys of its own, and returns
-- the commands that the user may not run.
-- KEYS: a string, a list, a hash, a set, a sorted set and a stream; none of them exists.
-- A key that cannot be deleted expires after ten seconds.
local text, list, hash, set, sorted, stream = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local tries = {
	{ 'TIME' },
	{ 'SET', text, '1', 'PX', '10000' },
	{ 'SETEX', text, '10', '1' },
	{ 'GET', text },
	{ 'MGET', text },
	{ 'GETRANGE', text, '0', '1' },
	{ 'EXISTS', text },
	{ 'TYPE', text },
	{ 'MEMORY', 'USAGE', text },
	{ 'INCR', text },
	{ 'INCRBY', text, '1' },
	{ 'SETRANGE', text, '0', '1' },
	{ 'EXPIREAT', text, '4102444800' },
	{ 'EXPIRE', text, '10' },
	{ 'RPUSH', list, '1' },
	{ 'PEXPIRE', list, '10000' },
	{ 'LPUSH', list, '2' },
	{ 'RPOPLPUSH', list, list },
	{ 'LLEN', list },
	{ 'LPOS', list, '1' },
	{ 'LRANGE', list, '0', '1' },
	{ 'LTRIM', list, '0', '5' },
	{ 'LREM', list, '1', '2' },
	{ 'HSET', hash, 'a', '1' },
	{ 'PEXPIRE', hash, '10000' },
	{ 'HGET', hash, 'a' },
	{ 'HMGET', hash, 'a' },
	{ 'HGETALL', hash },
	{ 'HLEN', hash },
	{ 'HSTRLEN', hash, 'a' },
	{ 'HVALS', hash },
	{ 'HSCAN', hash, '0' },
	{ 'HEXISTS', hash, 'a' },
	{ 'HSETNX', hash, 'a', '1' },
	{ 'HDEL', hash, 'b' },
	{ 'HINCRBY', hash, 'a', '1' },
	{ 'SADD', set, '1' },
	{ 'PEXPIRE', set, '10000' },
	{ 'SMEMBERS', set },
	{ 'SISMEMBER', set, '1' },
	{ 'SREM', set, '2' },
	{ 'ZADD', sorted, '1', 'a' },
	{ 'PEXPIRE', sorted, '10000' },
	{ 'ZCARD', sorted },
	{ 'ZCOUNT', sorted, '0', '1' },
	{ 'ZLEXCOUNT', sorted, '-', '+' },
	{ 'ZSCORE', sorted, 'a' },
	{ 'ZMSCORE', sorted, 'a' },
	{ 'ZRANK', sorted, 'a' },
	{ 'ZSCAN', sorted, '0' },
	{ 'ZRANGE', sorted, '0', '1' },
	{ 'ZREVRANGE', sorted, '0', '1' },
	{ 'ZRANGEBYSCORE', sorted, '0', '1' },
	{ 'ZREMRANGEBYSCORE', sorted, '2', '3' },
	{ 'ZREMRANGEBYRANK', sorted, '5', '6' },
	{ 'ZREM', sorted, 'b' },
	{ 'ZREVRANGEBYLEX', sorted, '+', '-' },
	{ 'XADD', stream, 'MAXLEN', '~', '1', '*', 'a', '1' },
	{ 'PEXPIRE', stream, '10000' },
	{ 'XREVRANGE', stream, '+', '-', 'COUNT', '1' },
	{ 'DEL', text, list, hash, set, sorted, stream },
}
local refused = {}
for _, try in ipairs(tries) do
	local answer = redis.pcall(unpack(try))
	if type(answer) == 'table' and answer.err then
		local name = string.lower(try[1])
		if name == 'memory' then
			name = 'memory|usage'
		end
		if string.find(answer.err, "can't run this command") or string.find(answer.err, 'NOPERM') then
			refused[#refused + 1] = name
		elseif #refused == 0 then -- else a command before it left nothing behind
			return redis.error_reply(answer.err)
		end
	end
end
return refused
