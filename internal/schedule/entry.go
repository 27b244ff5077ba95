package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"rollcall/internal/console"
	"rollcall/tasks"
)

// Entry is one automatic job: a time, and what to enqueue.
type Entry struct {
	// Name is 1 to 39 of a-z, 0-9 and "-", not beginning with "-". It is part of stored
	// keys: a renamed entry is a new entry.
	Name string
	// Cron is the time: five fields (minute hour day month weekday), @daily and the
	// like, or @every with a duration of whole seconds.
	Cron string
	// Zone is the time zone of Cron, e.g. "Asia/Shanghai". Empty: UTC; the
	// configuration fills in Asia/Shanghai.
	Zone string
	// Jitter moves all ticks of the entry by the same time, of 1 s to Jitter, which
	// depends on the Name alone: entries with one Cron do not start together, nor at the
	// full hour. Whole seconds, at most 12 h. 0: ticks are exactly at Cron.
	Jitter time.Duration
	// Overlap is what happens to a tick while another of the entry has not ended. Empty:
	// Wait.
	Overlap Overlap
	// MisfireWindow is how late a tick may begin: whole seconds, 1 min to 72 h. 0: 1 h.
	MisfireWindow time.Duration

	// Of Roster, Courses and Job an entry has exactly one.

	// Roster is the path of a CSV file, read again at each tick.
	Roster string
	// Courses are ClassIn courses to sync.
	Courses Courses
	// Job is executed at each tick.
	Job Job
	// Does describes a Job in lists, in a few words. Ignored without one.
	Does string
	// Within bounds one attempt at a Job, up to 12 h. 0: 30 min.
	Within time.Duration
}

// Overlap is what happens to a tick while another tick of its entry has not ended.
type Overlap string

const (
	// Wait lets the tick begin when the other has ended, in the order of the ticks.
	Wait Overlap = "queue"
	// Skip does not execute the tick.
	Skip Overlap = "skip"
)

const (
	defaultWindow  = time.Hour
	shortestWindow = time.Minute
	longestWindow  = 72 * time.Hour
	longestJitter  = 12 * time.Hour
	// defaultWithin is how long one attempt at a tick may take: some 500,000 rows need a
	// few minutes.
	defaultWithin = 30 * time.Minute
	longestWithin = 12 * time.Hour
	// looksBack bounds how far back missed ticks are counted.
	looksBack = 7 * 24 * time.Hour
)

// Courses are ClassIn courses of one tenant.
type Courses struct {
	Tenant string
	IDs    []string
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// planned is an entry that was validated.
type planned struct {
	Entry

	times  cron.Schedule
	zone   *time.Location
	offset time.Duration // by which ticks are later than times
}

// plan validates entries. Its error has a line for each problem.
func plan(entries []Entry) (map[string]*planned, error) {
	all := make(map[string]*planned, len(entries))
	var wrong []error
	for _, e := range entries {
		p, problems := e.judge()
		if all[e.Name] != nil {
			problems = append(problems, "its name is used twice: give each entry its own name")
		}
		for _, problem := range problems {
			wrong = append(wrong, fmt.Errorf("schedule %.80q: %s", e.Name, problem))
		}
		all[e.Name] = p
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return all, nil
}

func (e Entry) judge() (*planned, []string) {
	p := &planned{Entry: e}
	var problems []string
	if !namePattern.MatchString(e.Name) {
		problems = append(problems, "name: must be 1 to 39 of a-z, 0-9 and -, not beginning with -")
	}
	if err := p.parse(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, p.policies()...)
	courses := e.Courses.Tenant != "" || len(e.Courses.IDs) > 0
	switch {
	case e.Roster == "" && !courses && e.Job == nil:
		problems = append(problems, "it does nothing: give a roster file or courses")
	case e.Job != nil && (e.Roster != "" || courses):
		problems = append(problems, "it has a job, and a roster or courses: split it into two entries")
	case e.Roster != "" && courses:
		problems = append(problems, "it has a roster and courses: split it into two entries")
	case courses:
		problems = append(problems, e.Courses.problems()...)
	}
	return p, problems
}

// policies fills in defaults, and returns what is wrong with the entry besides its times
// and its work.
func (p *planned) policies() []string {
	var problems []string
	if p.Overlap == "" {
		p.Overlap = Wait
	}
	if p.Overlap != Wait && p.Overlap != Skip {
		problems = append(problems, fmt.Sprintf("overlap: %.40q is unknown: write queue or skip", p.Overlap))
	}
	if p.MisfireWindow == 0 {
		p.MisfireWindow = defaultWindow
	}
	if w := p.MisfireWindow; w < shortestWindow || w > longestWindow || w%time.Second != 0 {
		problems = append(problems, fmt.Sprintf("misfire window: %s must be whole seconds, 1m to 72h", w))
	}
	if p.Jitter < 0 || p.Jitter > longestJitter || p.Jitter%time.Second != 0 {
		problems = append(problems, fmt.Sprintf("jitter: %s must be whole seconds, up to 12h", p.Jitter))
	}
	if p.Within == 0 || p.Job == nil {
		p.Within = defaultWithin
	}
	if p.Within < time.Second || p.Within > longestWithin {
		problems = append(problems, fmt.Sprintf("the bound of an attempt: %s must be 1s to 12h", p.Within))
	}
	p.offset = offset(p.Name, p.Jitter)
	return problems
}

// offset returns the part of a jitter that the ticks of an entry have.
func offset(name string, jitter time.Duration) time.Duration {
	if jitter < time.Second {
		return 0
	}
	sum := sha256.Sum256([]byte(name))
	return time.Duration(1+binary.BigEndian.Uint64(sum[:])%uint64(jitter/time.Second)) * time.Second //nolint:gosec // of at most 12 h
}

// does describes what the entry does, in a few words.
func (p *planned) does() string {
	switch {
	case p.Job != nil:
		return p.Does
	case p.Roster != "":
		return "roster " + p.Roster
	}
	return console.Count(len(p.Courses.IDs), "course") + " of " + p.Courses.Tenant
}

func (c Courses) problems() []string {
	if len(c.IDs) == 0 {
		return []string{"courses: there are no ids: list the course ids"}
	}
	var problems []string
	seen := map[string]bool{}
	for i, id := range c.IDs {
		err := tasks.CourseSync{Tenant: c.Tenant, CourseID: id}.Validate(tasks.Limits{})
		if invalid, ok := errors.AsType[*tasks.ValidationError](err); ok {
			for _, p := range invalid.Problems {
				problems = append(problems, fmt.Sprintf("courses: entry %d: %s %s", i+1, p.Field, p.What))
			}
		}
		if seen[id] {
			problems = append(problems, fmt.Sprintf("courses: entry %d: course %.40q is listed twice", i+1, id))
		}
		seen[id] = true
	}
	return problems
}

func (p *planned) parse() error {
	if strings.Contains(p.Cron, "TZ=") {
		return errors.New("cron: write the time zone under zone, not in cron")
	}
	var err error
	if p.zone, err = time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
		return fmt.Errorf("zone: %.80q is unknown: write a name of the IANA database such as Asia/Shanghai", p.Zone)
	}
	if p.times, err = cron.ParseStandard(p.spec()); err != nil {
		return fmt.Errorf("cron: %.80q: %w: write minute, hour, day, month and weekday, e.g. \"30 2 * * *\"", p.Cron, err)
	}
	if d, ok := strings.CutPrefix(p.Cron, "@every "); ok {
		// The library rounds a duration that is not a whole number of seconds.
		if every, err := time.ParseDuration(d); err != nil || every < time.Second || every%time.Second != 0 {
			return fmt.Errorf("cron: %.80q: must be whole seconds, at least one", p.Cron)
		}
	}
	if p.times.Next(time.Unix(0, 0)).IsZero() {
		return fmt.Errorf("cron: %.80q: this day does not exist", p.Cron)
	}
	return nil
}

// spec returns the entry's time as the library parses it.
func (p *planned) spec() string { return "CRON_TZ=" + p.zone.String() + " " + p.Cron }

// shown returns the entry's time as asynq's web UI shows it. Two entries with the same
// have the same ticks.
func (p *planned) shown() string {
	if p.offset == 0 {
		return p.spec()
	}
	return p.spec() + " +" + p.offset.String()
}

// next returns the first tick after t, zero if there is none within five years.
func (p *planned) next(t time.Time) time.Time {
	tick := p.undelayed(t.Add(-p.offset))
	if tick.IsZero() {
		return tick
	}
	return tick.Add(p.offset)
}

// undelayed is next without the offset.
func (p *planned) undelayed(t time.Time) time.Time {
	// The library counts "@every" from the start of a process, so two leaders would
	// have different ticks. Ours are at multiples of the duration.
	if every, ok := p.times.(cron.ConstantDelaySchedule); ok {
		return t.Truncate(every.Delay).Add(every.Delay).In(p.zone)
	}
	return p.times.Next(t.In(p.zone))
}

// latest returns the last tick after from and not after to, and how many ticks there are;
// 0 if there is none.
func (p *planned) latest(from, to time.Time) (last time.Time, n int) {
	if every, ok := p.times.(cron.ConstantDelaySchedule); ok {
		first, last := p.next(from), to.Add(-p.offset).Truncate(every.Delay).Add(p.offset)
		if last.Before(first) {
			return time.Time{}, 0
		}
		return last, 1 + int(last.Sub(first)/every.Delay)
	}
	for t := p.next(from); !t.IsZero() && !t.After(to); t = p.next(t) {
		last = t
		n++
	}
	return last, n
}

// due returns the last tick that is due at now, if the ticks up to until are decided,
// and how many before it were missed; false if none is. A tick is late if its window is
// over.
func (p *planned) due(until, now time.Time) (at time.Time, missed int, late, due bool) {
	if earliest := now.Add(-max(looksBack, p.MisfireWindow)); until.Before(earliest) {
		until = earliest
	}
	at, n := p.latest(until, now)
	return at, n - 1, now.Sub(at) > p.MisfireWindow, n > 0
}

// Next returns the first n ticks of an entry after a time, in the entry's zone: fewer
// if the calendar has no more, none for an entry that [New] rejects.
func Next(entry Entry, after time.Time, n int) []time.Time {
	p, problems := entry.judge()
	if len(problems) > 0 {
		return nil
	}
	var ticks []time.Time
	for t := p.next(after); len(ticks) < n && !t.IsZero(); t = p.next(t) {
		ticks = append(ticks, t)
	}
	return ticks
}
