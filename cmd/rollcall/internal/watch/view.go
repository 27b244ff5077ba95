package watch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/internal/remote"
	"rollcall/internal/run"
)

// view is a run as it is shown.
type view struct {
	run      run.Run
	done, of int
	rate     float64       // rows a second, of the last half minute
	left     time.Duration // at that rate; 0: not known
	causes   []string      // of failures
	held     []string      // what holds the run back, in words
}

// percent is the done part.
func (v *view) percent() float64 {
	if v.of == 0 {
		return 100
	}
	return 100 * (float64(v.done) / float64(v.of))
}

// pace describes the rate and the time that is left.
func (v *view) pace() string {
	text := fmt.Sprintf("%.1f/s", v.rate)
	if v.left > 0 {
		text += "  ETA " + cli.Duration(v.left)
	}
	return text
}

// reader reads views of a run.
type reader struct {
	s       *session.Session
	id      string
	history []sample
	detail  time.Time // when causes and blocked were read
	failed  int       // rows, when the causes were read
	causes  []string
	blocked []string // lanes that take no tasks
	faults  int      // readings in a row that failed
}

// sample is how many rows were done at a time.
type sample struct {
	at   time.Time
	done int
}

// window is what a rate is measured over.
const window = 30 * time.Second

func (r *reader) read(ctx context.Context) (*view, error) {
	now, err := r.s.Runs.Get(ctx, r.id)
	if err != nil {
		return nil, err
	}
	r.faults = 0
	v := &view{run: now, of: now.Rows}
	for outcome, n := range now.Outcomes {
		if outcome.Final() {
			v.done += n
		}
	}
	r.measure(v)
	if err := r.look(ctx, now); err != nil {
		return nil, err
	}
	v.causes, v.held = r.causes, append(obstacles(v), r.blocked...)
	return v, nil
}

// look reads why rows failed and which lanes take no tasks, now and then.
func (r *reader) look(ctx context.Context, now run.Run) (err error) {
	at, failed := r.s.Now(), now.Outcomes[run.OutcomeFailed]
	if at.Sub(r.detail) < details && (!now.State.Ended() || failed == r.failed) {
		return nil
	}
	r.detail, r.failed = at, failed
	if r.causes, err = r.failures(ctx, now); err != nil {
		return err
	}
	r.blocked, err = r.lanes(ctx, now)
	return err
}

// mostFaults is how many readings in a row may fail: a failover takes less.
const mostFaults = 30

// tolerate returns the last view with the fault, or nil if the fault does not pass.
func (r *reader) tolerate(last *view, err error) *view {
	_, passing := redisdb.FaultOf(err)
	if !passing && !remote.Passing(err) || r.faults >= mostFaults {
		return nil
	}
	r.faults++
	v := *last
	if v.held = []string{redisdb.Explain(err)}; remote.Passing(err) {
		v.held = []string{err.Error()}
	}
	return &v
}

// measure sets the rate and the time that is left.
func (r *reader) measure(v *view) {
	now := r.s.Now()
	r.history = append(r.history, sample{at: now, done: v.done})
	for len(r.history) > 2 && now.Sub(r.history[0].at) > window {
		r.history = r.history[1:]
	}
	first := r.history[0]
	if took := now.Sub(first.at); took >= every/2 {
		v.rate = float64(v.done-first.done) / took.Seconds()
	}
	if v.rate > 0 && v.run.State.Sends() {
		v.left = time.Duration(float64(v.of-v.done) / v.rate * float64(time.Second)).Round(time.Second)
	}
}

// mostCauses is how many causes of failures are shown.
const mostCauses = 3

// failures describes the failed rows by cause.
func (r *reader) failures(ctx context.Context, now run.Run) ([]string, error) {
	failed := now.Outcomes[run.OutcomeFailed]
	if failed == 0 {
		return nil, nil
	}
	causes, err := r.s.Causes(ctx, r.id)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, c := range causes {
		if i == mostCauses {
			all = append(all, fmt.Sprintf("and %s: rollcall dead list --run %s", console.Count(len(causes)-i, "more cause"), r.id))
			break
		}
		text := fmt.Sprintf("%d failed: %s", c.DeadLetters, c.Class)
		if c.Code != "" {
			text += " " + c.Code
		}
		if c.Todo != "" {
			text += ": " + c.Todo
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		all = []string{fmt.Sprintf("%d failed", failed)}
	}
	return all, nil
}

// obstacles describes what holds a run back, as far as the run itself says it.
func obstacles(v *view) []string {
	now := v.run
	switch {
	case now.State == run.StatePaused:
		text := "paused"
		if now.Reason != "" {
			text += ": " + now.Reason
		}
		return []string{text + "; to continue: rollcall run resume " + now.ID}
	case !now.State.Sends() || now.Plan == nil:
		return nil
	case now.Progress != "" && (now.State == run.StateCanary || v.done == 0):
		return []string{now.Progress}
	case now.State == run.StateCanary && now.Settings.CanaryChats:
		return []string{"canary: one row of each chat must end well before the rest is sent"}
	case now.State == run.StateCanary && now.Settings.Canary > 0 && now.Settings.Canary < now.Plan.Calls():
		return []string{fmt.Sprintf("canary: the first %s must end well before the rest is sent", console.Count(now.Settings.Canary, "row"))}
	}
	return nil
}

// lanes describes the lanes of a run that take no tasks.
func (r *reader) lanes(ctx context.Context, now run.Run) ([]string, error) {
	if !now.State.Sends() || now.Plan == nil {
		return nil, nil
	}
	survey, err := r.survey(ctx)
	if survey == nil || err != nil {
		return nil, err
	}
	var all []string
	for _, l := range now.Plan.Lanes {
		name := registry.Queue(l.Tenant, l.Kind, false)
		state, err := survey.Named(name)
		if err != nil {
			all = append(all, "no worker serves lane "+name)
			continue
		}
		if why := lanes.Blocked(state); why != "" {
			all = append(all, name+": "+why)
		}
	}
	return all, nil
}

// survey reads the lanes; nil: the token may not.
func (r *reader) survey(ctx context.Context) (*lanes.Survey, error) {
	if r.s.API == nil {
		return lanes.Read(ctx, r.s.Redis, r.s.Now())
	}
	if !r.s.API.May(ctx, "read") {
		return nil, nil //nolint:nilnil // it is not known
	}
	read, err := r.s.API.Survey(ctx, r.s.Now())
	return (*lanes.Survey)(read), err
}

// summary is a view in one line.
func (v *view) summary() string {
	parts := []string{string(v.run.State), fmt.Sprintf("%d of %s done", v.done, console.Count(v.of, "row"))}
	if failed := v.run.Outcomes[run.OutcomeFailed]; failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	parts = append(parts, v.pace())
	return strings.Join(parts, ", ")
}
