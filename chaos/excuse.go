package main

import (
	"regexp"
	"slices"
	"strings"
)

// excuses are the damages that no worker needs to name, because what they do to rollcall
// is what a value within bounds does, or because no worker reads what was damaged.
var excuses = append([]excuse{
	{regexp.MustCompile(`:(ended:\*|replicas|paused)$`), nil, anyManner, "only its existence counts"},
	{regexp.MustCompile(`:lease$`), nil, inside, "a lease counts by its changes"},
	{regexp.MustCompile(`:(scheduled|completed)$`), nil, ahead, "any time is possible"},
	{regexp.MustCompile(`:completed$`), nil, cut, "read when the search for tasks without a message has reached it"},
	{regexp.MustCompile(`:t:`), regexp.MustCompile(`^msg$`), cut, "read when it runs; then it is a dead letter"},
	{regexp.MustCompile(`:t:`), regexp.MustCompile(`^(pending_since|result|timeout|deadline|rollcall_kills)$`), inside, "for people"},
	{regexp.MustCompile(`:(effects:\*|doubts|runs|targets|dead:places|dead:closed|dead:causes:\*)$`), nil, inside, "for people; rollcall repair checks it"},
	{regexp.MustCompile(`\}:changed$`), nil, inside, "the next ID that is applied writes it again; who reads it before that names it"},
	{regexp.MustCompile(`:dead:todos$`), nil, inside, "for people: any text is possible"},
	{regexp.MustCompile(`:edits:`), nil, inside, "a position that begin writes again"},
	{regexp.MustCompile(`:memory$`), nil, inside, "any other value is a loss, which is repaired"},
	{regexp.MustCompile(`:(target|run):|\}:(processed|failed|spent|lane)|dead:causes$`), nil, cut, "a shorter value is a value"},
}, runExcuses...)

type excuse struct {
	class   *regexp.Regexp
	entry   *regexp.Regexp // nil: any
	manners []manner
	reason  string
}

var (
	anyManner = []manner{otherType, truncated, farAhead}
	inside    = []manner{truncated, farAhead}
	cut       = []manner{truncated}
	ahead     = []manner{farAhead}
)

// excuse returns why a damage may be unnamed, "" if it may not.
func (d spoiled) excuse() string {
	for _, e := range excuses {
		if e.class.MatchString(d.class) && slices.Contains(e.manners, d.manner) && (e.entry == nil || e.entry.MatchString(d.entry)) {
			return e.reason
		}
	}
	possible := d.manner == farAhead && !slices.Contains(impossible, d.value)
	switch {
	case possible && strings.Contains(d.class, ":target:"):
		return "a clock may have been a year ahead: later changes are accepted"
	case possible && counters.MatchString(d.entry):
		return "a count or a length within its bounds"
	case d.manner == farAhead && numeric.MatchString(d.value) && unbounded.MatchString(d.class):
		return "a count"
	}
	return ""
}

var (
	// impossible are the values of far that no time can be.
	impossible = []string{"9007199254740992", "1e300", "inf"}
	// unbounded are the classes of counters that may be any number.
	unbounded = regexp.MustCompile(`\}:(processed|failed)|dead:causes$`)
	// counters are the entries of a lane's pace that count, or that are lengths.
	counters = regexp.MustCompile(`^(seq|epoch|mark_seq|old_seq|refused|start|spread|bad|before|day_calls)$`)
)
