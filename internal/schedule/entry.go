package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

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
	// Roster is the path of a CSV file, read again at each tick. Empty: Courses.
	Roster string
	// Courses are synced if there is no Roster.
	Courses Courses
}

// Courses are ClassIn courses of one tenant.
type Courses struct {
	Tenant string
	IDs    []string
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// planned is an entry that was validated.
type planned struct {
	Entry

	times cron.Schedule
	zone  *time.Location
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
	courses := e.Courses.Tenant != "" || len(e.Courses.IDs) > 0
	switch {
	case e.Roster == "" && !courses:
		problems = append(problems, "it does nothing: give a roster file or courses")
	case e.Roster != "" && courses:
		problems = append(problems, "it has a roster and courses: split it into two entries")
	case courses:
		problems = append(problems, e.Courses.problems()...)
	}
	return p, problems
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

// spec returns the entry's time as asynq's web UI shows it.
func (p *planned) spec() string { return "CRON_TZ=" + p.zone.String() + " " + p.Cron }

// next returns the first tick after t, zero if there is none within five years.
func (p *planned) next(t time.Time) time.Time {
	// The library counts "@every" from the start of a process, so two leaders would
	// have different ticks. Ours are at multiples of the duration.
	if every, ok := p.times.(cron.ConstantDelaySchedule); ok {
		return t.Truncate(every.Delay).Add(every.Delay).In(p.zone)
	}
	return p.times.Next(t.In(p.zone))
}

// latest returns the last tick after from and not after to; false if there is none.
func (p *planned) latest(from, to time.Time) (time.Time, bool) {
	if every, ok := p.times.(cron.ConstantDelaySchedule); ok {
		tick := to.Truncate(every.Delay)
		return tick, tick.After(from)
	}
	var last time.Time
	for t := p.next(from); !t.IsZero() && !t.After(to); t = p.next(t) {
		last = t
	}
	return last, !last.IsZero()
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
