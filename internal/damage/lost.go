package damage

import (
	"strings"

	"rollcall/internal/ledger"
)

// losses are what is lost with a key, by a part of its name: the first that fits counts.
var losses = []struct{ part, key, entry string }{
	{"asynq:{rollcall.runs}:", "nothing: runs that were applied get their tasks again within a minute", ""},
	{"asynq:{rollcall.schedule}:", "ticks of schedules that have not run, and those of the web UI that have", ""},
	{"asynq:queues", "nothing: the queues of all lanes are listed again", ""},
	{"asynq:servers", "nothing: workers write it again within seconds", ""},
	{"asynq:workers", "nothing: workers write it again within seconds", ""},
	{"asynq:schedulers", "nothing: the worker that leads writes it again within seconds", ""},
	{"rollcall:{schedule}:state:", "whether the schedule is paused, and which times are decided: those from now on count", ""},
	{"rollcall:{schedule}:entries", "the list of rollcall schedule list, until a worker takes the lead or is reloaded", ""},
	{"rollcall:{schedule}:ticks:", "what became of the ticks of the schedule", ""},
	{"rollcall:{schedule}:history:", "what became of the ticks of the schedule", ""},
	{"rollcall:{schedule}:open:", "nothing: ticks that wait are recorded again when they begin", ""},
	{"rollcall:{schedule}:running:", "nothing: the worker that runs the tick notes it again", ""},
	{"rollcall:{schedule}:", "nothing: a worker takes the lead of the schedules, or runs the tick", ""},
	{"rollcall:nights:open", "the list of the schedules that had a night: each is listed again by its next one", ""},
	{"}:base", "what the last night was like: the next one is compared with nothing, and accepts any roster", ""},
	{"}:reports", "the reports of the schedule's nights", ""},
	{"}:seen", "who was in the last roster: no member counts as missing in the next night", ""},
	{"}:absent", "who is missing, and since when: nights are counted from 1 again; who was removed is not added again when they are back", ""},
	{"}:carried", "since when changes wait for calls", ""},
	{"}:refused", "which values the platform refused: each is sent once more", ""},
	{"rollcall:{night:", "the night that has not ended: its run continues, without a report", ""},
	{"rollcall:memory:", "nothing: a worker writes it again", ""},
	{"rollcall:events", "the list of events: holds, repairs and settled dead letters", ""},
	{"rollcall:schema", "nothing: workers write it again", "nothing: workers write it again"},
	{"rollcall:rows:", "the last number of a row that was handed out: rows of the run are numbered from 1 again", "as the key"},
	{"rollcall:runs:applied", "nothing: the runs that were applied are listed again", "an entry that names no run"},
	{"rollcall:runs", "the list of runs: those that were applied are listed again, others are found by their whole id", "when a run was made: now counts; or an entry that names no run"},
	{"}:excluded", "which rows were left out, if the run is planned again", "which rows were left out, if the run is planned again"},
	{"}:rows:", "the up to 256 rows of this block: those that were not sent are impossible from now on", ""},
	{"}:plan:", "what was decided on the up to 256 rows of this block: those that were not sent are impossible, until the run is planned again", ""},
	{
		"rollcall:{run:", "the run: its rows that were not sent are not sent; what was applied stays",
		"this field: without its plan, its revisions or its number of rows, an applied run is cancelled; a state becomes paused, or uploading; others are made again",
	},
	{
		"}:t:", "the message of a task in asynq; if the ledger knows the task, it gets a dead letter of class vanished",
		"the state of a task, which asynq writes again",
	},
	{"}:processed", "how many tasks the queue has ended, in the web UI", "how many tasks the queue has ended, in the web UI"},
	{"}:failed", "how many tasks of the queue have failed, in the web UI", "how many tasks of the queue have failed, in the web UI"},
	{":pending", "the order of the pending tasks; those that the ledger knows become pending again within a minute", ""},
	{":active", "nothing: tasks that run end, others become pending again", ""},
	{":lease", "nothing: running tasks renew their leases", ""},
	{":scheduled", "the times of scheduled tasks: those that the ledger knows become pending within a minute", "the time of a task, which becomes pending"},
	{":retry", "the times of retries: tasks that the ledger knows become pending within a minute", "the time of a retry, which begins now"},
	{":archived", "the list of the archived tasks in the web UI; dead letters stay", "when a task was archived: now counts"},
	{":completed", "the list of the completed tasks in the web UI", "how long a completed task is kept in the web UI: not any longer"},
	{"}:lane:", "what the lane has learned of its rate; it waits for one window", "a number of the lane's pace; it waits for one window"},
	{"}:spent", "the month's count of calls, which begins at 0: compare it with the platform's", "a count of calls, which begins at 0: compare it with the platform's; or the quota, which workers write when they start"},
	{"}:pace", "the pace of the address, which starts from zero", ""},
	{"}:memory", "nothing: a worker writes it again", ""},
	{":dead:letters", "all dead letters of the lane", "a dead letter"},
	{":dead:todos", "what to do about the dead letters that are kept, in lists; each says it", "what to do about the dead letters of this cause, in lists; each says it"},
	{":dead:closed", "the list of the dead letters that closed automatically", ""},
	{":dead:", "nothing: the index is made again from the dead letters", "nothing: the index is made again from the dead letters"},
	{"}:tasks", "the records of open tasks: those that vanish later get no dead letter", "the record of an open task: if it vanishes it gets no dead letter"},
	{"}:doubts", "the list of the IDs with an unknown outcome; their targets keep it", "since when an ID has an unknown outcome: now counts"},
	{"}:late:", "which values are sent again because a late request may have overwritten them; the next change of a target is sent", "when a value is sent again: now"},
	{"}:refresh:", "which values wait to be sent again to confirm them; the next night lists them again", "when a value is sent again to confirm it: now"},
	{"}:runs", "the list of the runs", "when a run began: now counts"},
	{"}:run:", "the results of these rows", ""},
	{"}:details:", "the details of these rows", ""},
	{"}:floor", "nothing: the next run of rows writes it again", ""},
	{"}:targets", "the list of all targets, until each is changed again; their records stay", "when a target was confirmed last: now counts"},
	{"}:changed", "when an ID was changed last: taken IDs are tried again later", "when an ID was changed last: taken IDs are tried again later"},
	{"}:effects:", "the history of the target", ""},
	{"}:edits:", "the order of the target's open membership edits", ""},
	{
		"}:target:", "what is known of the target: what was applied, a lock, an unknown outcome; the next change is sent even if it is equal",
		"this entry; the next change of the target is sent even if it is equal",
	},
	{":attempts", "how often a task has failed: the count begins at 0", "how often a task has failed: the count begins at 0"},
	{"rollcall:lanes", "nothing: workers publish their lanes again within a minute", "nothing: a worker publishes its lane again within a minute"},
	{"rollcall:holds", "all holds: put those of operators again", "a hold: put it again if an operator had set it"},
	{"rollcall:dead:lanes", "nothing: workers list the lanes with dead letters again", ""},
}

// Lost returns what is lost when a damage is repaired.
func Lost(d ledger.Damage) string {
	for _, l := range losses {
		if !strings.Contains(d.Key, l.part) {
			continue
		}
		if d.Entry != "" && l.entry != "" {
			return l.entry
		}
		return l.key
	}
	return "what it holds"
}
