package tasks

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"rollcall/internal/ledger"
)

// Options say how a task is enqueued. The zero value: now, not urgent, no key.
type Options struct {
	// Urgent puts the task before all that are not.
	Urgent bool
	// At is the time before which the task does not run, give or take a second.
	// Its place among the wishes for its target is that of the moment it was
	// enqueued: a wish enqueued later wins, even if it is carried out earlier.
	At time.Time
	// Key is the caller's own name for this request: within KeyLife a tenant's
	// task with the same key is stored once, whatever became of the first.
	// Empty: each call stores a task.
	Key string
	// Source and Number keep what one source says in its own order: of two tasks
	// for the same thing the one with the higher number wins, in whichever order
	// they are enqueued; the other one is Outdated. The number is the source's own,
	// a change time or a counter, from 0 to MaxNumber. It orders nothing but what
	// the same source says. A task that was not stored is to be enqueued again with
	// its number. Tasks that edit members take none.
	Source string
	Number int64
	// Run names what the task came in with, a file, a request or a night, and Row
	// is its place there, from 1 and below MaxRows: [the results of a run] are kept
	// for 90 days. A Row of 0 is numbered by the client: the next row of the run in
	// the order of the requests, from 1, whichever client enqueued those before. That
	// costs one more round trip for each run of a batch. Give Row for all tasks of a
	// run or for none: a row that is used twice has the result of the last.
	//
	// [the results of a run]: docs/enqueue.md
	Run string
	Row int
}

const (
	// MaxNumber is the highest number of a source: what Redis' Lua can tell apart.
	MaxNumber = 1<<53 - 1
	// MaxRows bounds the rows of a run.
	MaxRows = ledger.MaxRow
)

var (
	sourcePattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	runPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// ValidRun reports whether name can name a run: 1 to 64 letters and digits of
// ASCII, ".", "_" and "-".
func ValidRun(name string) bool { return runPattern.MatchString(name) }

// judge finds what is wrong with the options, but for the key.
func (o Options) judge(x *examiner, task Task) {
	switch {
	case o.Source == "" && o.Number != 0:
		x.add("number", "is given without a source")
	case o.Source != "" && !sourcePattern.MatchString(o.Source):
		x.add("source", "must be 1 to 32 of a-z, 0-9 and -")
	case o.Source != "" && editsMembers(task):
		x.add("source", "cannot order membership edits, which keep the order in which they are enqueued: leave it out")
	}
	if o.Number < 0 || o.Number > MaxNumber {
		x.add("number", "must be 0 to %d: take seconds or microseconds for a time", int64(MaxNumber))
	}
	if o.Run == "" {
		if o.Row != 0 {
			x.add("row", "is given without a run")
		}
		return
	}
	if !ValidRun(o.Run) {
		x.add("run", "must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
	}
	if o.Row < 0 || o.Row >= MaxRows {
		x.add("row", "must be 0 to %d: split the run", MaxRows-1)
	}
}

func editsMembers(task Task) bool {
	_, fields := task.Wish("")
	for _, f := range fields {
		if f.Mode == ledger.Edit {
			return true
		}
	}
	return false
}

// Request is one task of a batch.
type Request struct {
	Task    Task
	Options Options
}

// Validate judges a request as far as that goes without Redis.
func (r Request) Validate(limits Limits) error {
	_, kind, ok := laneOf(r.Task)
	if !ok {
		return errNotATask(r.Task)
	}
	if err := checkKey(r.Options.Key); err != nil {
		return err
	}
	if err := r.Task.Validate(limits); err != nil {
		return err
	}
	var x examiner
	r.Options.judge(&x, r.Task)
	return x.verdict(kind)
}

// mixed is the refusal of a task of which the source has said more since in part.
func mixed(kind Kind, source string) error {
	return &ValidationError{Kind: kind, Problems: []Problem{{
		Field: "number",
		What:  fmt.Sprintf("source %s has said more since of some of what this task changes, not of all: give each change a task of its own", source),
	}}}
}

// The headers of an asynq task: its producer's key, for those who look at it, and
// its run and its row there. Nothing is decided by them.
const (
	KeyHeader = "rollcall-key"
	RunHeader = "rollcall-run"
	RowHeader = "rollcall-row"
)

func headers(o Options) map[string]string {
	headers := map[string]string{}
	if o.Key != "" {
		headers[KeyHeader] = o.Key
	}
	if o.Run != "" {
		headers[RunHeader], headers[RowHeader] = o.Run, strconv.Itoa(o.Row)
	}
	if len(headers) == 0 {
		return nil
	}
	return headers
}

// RunOf tells which run a task came in with and its row there, by the headers of
// its asynq task. "": none.
func RunOf(headers map[string]string) (run string, row int) {
	row, err := strconv.Atoi(headers[RowHeader])
	if run = headers[RunHeader]; !ValidRun(run) || err != nil || row < 0 || row >= MaxRows {
		return "", 0
	}
	return run, row
}
