-- Hands out one revision for the rows of a run, and keeps it as the floor: revise.lua
-- hands out only higher ones.
local floor = KEYS[1]
local kept_ms = ARGV[1]

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]

local revision = string.format('%.0f', math.max(now_us, floor_at(floor, now_us) + 1))
redis.call('SET', floor, revision, 'PX', kept_ms)
return revision
