package main

// The commands on a task's path through Redis, by story, in the order of their first
// use. The steps of the ledger are numbered: their meaning depends on their order.

func nicknameSteps() []step {
	return []step{
		{true, "`SET rollcall:key:<tenant>:7`"},
		{true, "`internal/ledger/revise.lua`"},
		{true, "asynq's `enqueue`"},
		{true, "`raise` of `internal/enqueue/key.go`"},
		{true, "`internal/ledger/stored.lua`"},
		{false, "`internal/backlog/dequeue.lua`"},
		{false, "`internal/ledger/begin.lua`"},
		{false, "`internal/pace/address.lua`"},
		{false, "`internal/pace/book.lua`"},
		{false, "`internal/ledger/settle.lua`"},
		{false, "`HSET asynq:{<tenant>.nickname}:t:<task id>`"},
		{false, "asynq's `markAsComplete`"},
	}
}

func groupSteps() []step {
	return []step{
		{true, "`internal/ledger/revise.lua`"},
		{true, "asynq's `enqueue`"},
		{true, "`internal/ledger/stored.lua`"},
		{false, "`internal/backlog/dequeue.lua`"},
		{false, "`internal/ledger/begin.lua`"},
		{false, "`internal/pace/address.lua`"},
		{false, "`internal/pace/book.lua`"},
		{false, "`internal/ledger/settle.lua`"},
		{false, "`HSET asynq:{<tenant>.group}:t:<task id>`"},
		{false, "asynq's `markAsComplete`"},
	}
}

func idSteps() []step {
	return []step{
		{true, "`HGETALL rollcall:lanes`"},
		{true, "`internal/ledger/revise.lua`"},
		{true, "`SADD asynq:queues`"},
		{true, "asynq's `enqueue`"},
		{true, "`internal/ledger/stored.lua`"},
		{false, "`internal/backlog/dequeue.lua`"},
		{false, "`internal/ledger/begin.lua`"},
		{false, "`internal/pace/address.lua`"},
		{false, "`internal/pace/book.lua`"},
		{false, "`internal/ledger/intend.lua`"},
		{false, "`INFO replication`"},
		{false, "`EXISTS rollcall:{lakeside/id}:replicas`"},
		{false, "`internal/ledger/note.lua`"},
		{false, "`internal/ledger/intend.lua` (2)"},
		{false, "`internal/ledger/settle.lua`"},
		{false, "`HSET asynq:{<tenant>.id}:t:<task id>`"},
		{false, "asynq's `markAsComplete`"},
	}
}

func rejectedSteps() []step {
	return []step{
		{false, "`internal/ledger/send.lua`"},
		{false, "`internal/ledger/send.lua` (2)"},
		{false, "`internal/ledger/uncheck.lua`"},
		{false, "`EXEC`"},
		{false, "asynq's `retry`"},
		{false, "asynq's `forward`"},
		{false, "`internal/ledger/begin.lua` (2)"},
		{false, "`internal/ledger/uncheck.lua` (2)"},
		{false, "`HGETALL rollcall:{<task id>}:attempts`"},
		{false, "`SADD rollcall:dead:lanes`"},
		{false, "`internal/ledger/deadadd.lua`"},
		{false, "`internal/ledger/close.lua`"},
		{false, "`DEL rollcall:{<task id>}:attempts`"},
		{false, "asynq's `archive`"},
	}
}

func slowSteps() []step {
	return []step{
		{false, "`ZADD asynq:{<tenant>.nickname}:lease`"},
		{false, "`internal/ledger/renew.lua`"},
	}
}

func throttledSteps() []step {
	return []step{
		{false, "`internal/pace/refuse.lua`"},
		{false, "`PUBLISH rollcall:pace`"},
	}
}

func heldSteps() []step {
	return []step{
		{false, "`internal/hold/put.lua`"},
		{false, "`XADD rollcall:events`"},
		{false, "`PUBLISH rollcall:holds`"},
	}
}

func laterSteps() []step {
	return []step{
		{true, "asynq's `schedule`"},
		{false, "`internal/ledger/settle.lua` (2)"},
	}
}

func lateSteps() []step {
	return []step{
		{false, "`internal/ledger/settle.lua`"},
		{false, "`internal/ledger/begin.lua` (2)"},
		{false, "`internal/ledger/settle.lua` (2)"},
	}
}
