package tasks

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Options say how a task is enqueued. The zero value: now, not urgent, no key.
type Options struct {
	// Urgent puts the task before all that are not.
	Urgent bool
	// At is the time before which the task does not run, to the second. The task
	// is ordered by the moment it was enqueued: a change enqueued later wins, even
	// if it is executed earlier.
	At time.Time
	// Key is the caller's own name for this request: within KeyLife a tenant's
	// task with the same key is stored once, regardless of what happened to the first.
	// Empty: each call stores a task.
	Key string
	// Source and Number order the changes of one source: of two tasks for the same
	// target the one with the higher number wins, in any order of enqueueing; the
	// other one is Outdated. The number is the source's own, a change time or a
	// counter, from 0 to MaxNumber. Numbers of different sources are not compared. A
	// task that was not stored is to be enqueued again with its number. Tasks that
	// edit members cannot have a source.
	Source string
	Number int64
	// Run names what the task came in with: a file, a request or a night. Row is
	// its number there, from 1 and below MaxRows. The results of a run are kept for
	// 90 days (docs/rollcall.md). The client numbers a Row of 0: the next row of the
	// run in the order of the requests, also across clients. That costs one more
	// round trip for each run of a batch. Give Row for all tasks of a run or for
	// none: a row that is used twice has the result of the last.
	Run string
	Row int
}

const (
	// KeyLife is how long a key is remembered, from its first use.
	KeyLife = 24 * time.Hour
	// MaxKey is the longest key, in bytes.
	MaxKey = 200
	// MaxNumber is the highest number of a source. Lua in Redis counts in float64.
	MaxNumber = 1<<53 - 1
	// MaxRows bounds the rows of a run.
	MaxRows = 1_000_001
)

var (
	sourcePattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	runPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// ValidRun reports whether name can name a run: 1 to 64 letters and digits of
// ASCII, ".", "_" and "-".
func ValidRun(name string) bool { return runPattern.MatchString(name) }

// CheckKey returns a [*KeyError] for a key that cannot be used, or nil.
func CheckKey(key string) error {
	switch {
	case len(key) > MaxKey:
		return &KeyError{fmt.Sprintf("has %d bytes, at most %d", len(key), MaxKey)}
	case !utf8.ValidString(key):
		return &KeyError{"is not valid UTF-8"}
	case strings.ContainsFunc(key, unprintable):
		return &KeyError{"holds a control character"}
	}
	return nil
}

// judge finds what is wrong with the options, but for the key.
func (o Options) judge(x *examiner, task Task) {
	group, isGroup := task.(GroupUpdate)
	switch {
	case o.Source == "" && o.Number != 0:
		x.add("number", "is given without a source")
	case o.Source != "" && !sourcePattern.MatchString(o.Source):
		x.add("source", "must be 1 to 32 of a-z, 0-9 and -")
	case o.Source != "" && isGroup && group.EditsMembers():
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

// Request is one task of a batch.
type Request struct {
	Task    Task
	Options Options
}

// Validate reports every problem that can be found without Redis. Errors: a
// [*KeyError], a [*ValidationError], or one that says that Task is not a task.
func (r Request) Validate(limits Limits) error {
	if err := checkTask(r.Task); err != nil {
		return err
	}
	if err := CheckKey(r.Options.Key); err != nil {
		return err
	}
	if err := r.Task.Validate(limits); err != nil {
		return err
	}
	_, kind := r.Task.Lane()
	var x examiner
	r.Options.judge(&x, r.Task)
	return x.verdict(kind)
}
