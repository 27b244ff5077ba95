package night

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/console"
	"rollcall/internal/run"
	"rollcall/internal/source"
)

// State is what became of a night.
type State string

// The states of a night.
const (
	StateWaiting  State = "waiting"  // the source cannot be read now; it is read again
	StateSending  State = "sending"  // its run sends rows
	StateHeld     State = "held"     // a person approves its run, or not
	StatePaused   State = "paused"   // its run is paused: a person resumes or cancels it
	StateDone     State = "done"     // every row has a result
	StateFailed   State = "failed"   // the source cannot be used; nothing was sent
	StateReplaced State = "replaced" // a newer night has its rows
	StateExpired  State = "expired"  // no one approved it in time
	StateRejected State = "rejected" // a person rejected it
	StateStopped  State = "stopped"  // a person cancelled its run
)

// Report is what a night did. It has no name and no ID of a person.
type Report struct {
	Schedule string    `json:"schedule"`         // name
	Tick     time.Time `json:"tick"`             // when the night was due
	At       time.Time `json:"at"`               // when this was reported
	State    State     `json:"state"`            // of the night: waiting, sending, held, paused, done, failed, replaced, expired, rejected or stopped
	Run      string    `json:"run,omitzero"`     // ID
	Tenants  []string  `json:"tenants"`          // of the rows
	Decide   []string  `json:"decide,omitempty"` // why a person must decide; empty: no one must
	Again    int       `json:"again,omitzero"`   // earlier nights in a row that needed the same decision

	// Cause is why the source cannot be used. Empty: it was read.
	Cause    source.Cause `json:"cause,omitzero"`     // why the source cannot be used
	Why      string       `json:"why,omitzero"`       // the same in words, or why the reading is not complete
	Rows     int          `json:"rows"`               // rows of the reading
	Complete bool         `json:"complete"`           // every record of the source was read
	Modified time.Time    `json:"modified,omitzero"`  // of the content
	Same     bool         `json:"same,omitzero"`      // the content is that of the last night
	Problems []string     `json:"problems,omitempty"` // of the first rows that cannot be used

	Unchanged   int            `json:"unchanged"`           // rows without a call
	Evidence    *Evidence      `json:"evidence,omitzero"`   // how the names of unchanged rows are known; none without such names
	Planned     int            `json:"planned"`             // rows that the run sends
	Calls       int            `json:"calls"`               // rows that ended with a call
	Applied     int            `json:"applied"`             // rows that the platform accepted
	Conflicts   int            `json:"conflicts"`           // rows that contradict each other, or that others changed
	Impossible  int            `json:"impossible"`          // rows that cannot be used
	CarriedOver int            `json:"carried_over"`        // rows that the month cannot pay for: the next night sends them
	SetAside    map[string]int `json:"set_aside,omitempty"` // rows whose value the platform refused in the last 7 days, by cause
	Failed      map[string]int `json:"failed,omitempty"`    // rows that failed, by cause

	Missing  int `json:"missing"`  // members of the last reading who are not in this one
	Returned int `json:"returned"` // members who were missing and are back
	Removed  int `json:"removed"`  // members who are removed from a chat
	Restored int `json:"restored"` // members who are added again; they are named the next night

	// Drift is how many rows may differ from the platform after this night: of all that
	// has a reason above. A run that was not applied counts with its changed names alone.
	Drift    int       `json:"drift"`             // rows that may differ from the platform after this night
	Forecast *Forecast `json:"forecast,omitzero"` // of the month's calls; none if no month is bounded
}

// Forecast is how long the calls of the scarcest organisation last.
type Forecast struct {
	Organisation string  `json:"organisation"`
	Left         int64   `json:"left"`      // calls that nights can make this month
	PerNight     float64 `json:"per_night"` // calls of a night, on average of the last 30
	Nights       int     `json:"nights"`    // that the calls last; -1: no night made a call so far
}

// Final reports whether the night has ended.
func (r Report) Final() bool {
	return !slices.Contains([]State{"", StateWaiting, StateSending, StateHeld, StatePaused}, r.State)
}

// describe notes what was read, compared and decided.
func (r *Report) describe(a *attempt) {
	read, found := a.read, a.found
	r.Same = read.Complete && read.Version != "" && read.Version == a.before.Version
	r.Rows, r.Complete, r.Why, r.Modified, r.Problems = read.rows.rows, read.Complete, read.Why, read.Modified, read.problems
	r.Unchanged, r.Conflicts, r.Impossible = found.counts[run.RowUnchanged], found.counts[run.RowConflict], found.counts[run.RowImpossible]
	if found.unnamed > 0 && r.Why == "" {
		r.Why = fmt.Sprintf("no member counts as missing: %s without a member", console.Count(found.unnamed, "row"))
	}
	r.SetAside = found.aside
	if found.evidence != (Evidence{}) {
		evidence := found.evidence
		evidence.Refresh = len(a.chosen.refresh)
		r.Evidence = &evidence
	}
	for lane := range found.lanes {
		tenant, _, _ := strings.Cut(lane, ".")
		r.Tenants = append(r.Tenants, tenant)
	}
	slices.Sort(r.Tenants)
	r.Tenants = slices.Compact(r.Tenants)
	r.CarriedOver = len(a.chosen.left) + a.chosen.unpaid
	r.Missing, r.Returned = a.gone.missing, a.gone.back
	for _, e := range a.chosen.of {
		if e.Add {
			r.Restored++
		} else {
			r.Removed++
		}
	}
}

// take notes the state and the counts of the night's run.
func (r *Report) take(made run.Run, now time.Time) {
	r.At, r.Decide = now.UTC(), nil
	if made.Plan != nil {
		r.Planned = made.Plan.Calls()
	}
	switch made.State {
	case run.StateHeld:
		r.State = StateHeld
		if r.Evidence != nil {
			r.Evidence.Refresh = 0
		}
		for _, g := range made.Plan.Objections() {
			r.Decide = append(r.Decide, g.Name+": "+g.What)
		}
	case run.StatePaused:
		r.State, r.Decide = StatePaused, []string{"paused: " + made.Reason}
	case run.StateDone:
		r.State = StateDone
	case run.StateExpired:
		r.State = StateExpired
	case run.StateCancelled, run.StateRejected:
		switch {
		case made.By == author(r.Schedule):
			r.State = StateReplaced
		case made.State == run.StateRejected:
			r.State = StateRejected
		default:
			r.State = StateStopped
		}
	default:
		r.State = StateSending
	}
	if made.Outcomes != nil {
		o := made.Outcomes
		r.Applied, r.Calls = o[run.OutcomeApplied], o[run.OutcomeApplied]+o[run.OutcomeFailed]
		r.Conflicts = max(r.Conflicts, o[run.OutcomeConflict])
	}
	open := max(0, r.Planned-r.Applied)
	if made.Applied.IsZero() && made.Plan != nil {
		open = made.Plan.Counts[run.RowChange] // nothing is known of new names, nor against them
	}
	r.Drift = r.CarriedOver + r.Conflicts + r.Impossible + sum(r.SetAside) + r.Restored + open
}

func sum(counts map[string]int) int {
	n := 0
	for _, one := range counts {
		n += one
	}
	return n
}

// publish stores a report, logs it, records it among the events, and notifies others if
// they want to know. A decision that the last night needed already is not repeated.
func (s *Service) publish(ctx context.Context, r Report) (Report, error) {
	history, err := s.History(ctx, r.Schedule)
	if err != nil {
		return r, err
	}
	if i := slices.IndexFunc(history, func(old Report) bool { return old.Tick.Before(r.Tick) }); i >= 0 && len(r.Decide) > 0 {
		if last := history[i]; last.State == r.State && last.Cause == r.Cause && slices.Equal(last.Decide, r.Decide) {
			r.Again = last.Again + 1
		}
	}
	if r.Forecast, err = s.forecast(ctx, r, history); err != nil {
		return r, err
	}
	if err := s.saveReport(ctx, r, history); err != nil {
		return r, err
	}
	s.logReport(ctx, r)
	if !r.quiet() {
		if err := audit.Write(ctx, s.rdb, r.event()); err != nil {
			return r, err
		}
	}
	if s.announce == nil || !s.wanted(r) {
		return r, nil
	}
	if err := s.announce(ctx, r); err != nil {
		return r, fmt.Errorf("notify of the night of schedule %s: %w", r.Schedule, err)
	}
	return r, nil
}

// wanted reports whether others want to know.
func (s *Service) wanted(r Report) bool {
	s.mu.Lock()
	notify := cmp.Or(s.notify[r.Schedule], NotifyDecisions)
	s.mu.Unlock()
	switch notify {
	case NotifyAlways:
		return true
	case NotifyNever:
		return false
	case NotifyDecisions:
	}
	return len(r.Decide) > 0 && r.Again == 0
}

// quiet reports whether nothing new happened that a person may look for.
func (r Report) quiet() bool {
	return r.Again > 0 || len(r.Decide) == 0 && r.Planned == 0 && r.Drift == 0 && r.State == StateDone
}

// event is the report among the events.
func (r Report) event() audit.Event {
	return audit.Event{
		Event: "night.report", Level: "schedule", Name: r.Schedule, Class: string(r.State), Reason: strings.Join(r.Decide, "; "), By: author(r.Schedule),
		More: map[string]string{
			"tick": field(r.Tick), "run": r.Run, "rows": strconv.Itoa(r.Rows), "calls": strconv.Itoa(r.Calls), "applied": strconv.Itoa(r.Applied),
			"failed": strconv.Itoa(sum(r.Failed)), "carried_over": strconv.Itoa(r.CarriedOver), "drift": strconv.Itoa(r.Drift),
		},
	}
}

func (s *Service) logReport(ctx context.Context, r Report) {
	level := slog.LevelInfo
	if len(r.Decide) > 0 || len(r.Failed) > 0 {
		level = slog.LevelWarn
	}
	attrs := []any{
		"schedule", r.Schedule, "tick", field(r.Tick), "state", string(r.State), "run", r.Run, "rows", r.Rows, "unchanged", r.Unchanged,
		"planned", r.Planned, "applied", r.Applied, "failed", sum(r.Failed), "carried_over", r.CarriedOver, "drift", r.Drift,
	}
	if len(r.Decide) > 0 {
		attrs = append(attrs, "decide", strings.Join(r.Decide, "; "))
	}
	s.log.Log(ctx, level, "night reported", attrs...)
}

// forecast returns how long the calls of the month last; nil if no month is bounded.
func (s *Service) forecast(ctx context.Context, r Report, history []Report) (*Forecast, error) {
	budgets, err := s.runs.Budgets(ctx)
	if err != nil {
		return nil, err
	}
	var f *Forecast
	for _, organisation := range slices.Sorted(maps.Keys(budgets)) {
		b := budgets[organisation]
		served := slices.ContainsFunc(slices.Collect(maps.Keys(b.Metered)), func(lane string) bool {
			tenant, _, _ := strings.Cut(lane, ".")
			return slices.Contains(r.Tenants, tenant)
		})
		if b.Bounded && served && (f == nil || b.Left < f.Left) {
			f = &Forecast{Organisation: organisation, Left: b.Left}
		}
	}
	if f == nil {
		return nil, nil //nolint:nilnil // as documented
	}
	nights := append(slices.DeleteFunc(slices.Clone(history), func(old Report) bool { return old.Tick.Equal(r.Tick) }), r)
	f.PerNight, f.Nights = perNight(nights), -1
	if f.PerNight > 0 {
		f.Nights = int(float64(f.Left) / f.PerNight)
	}
	return f, nil
}

// Watch follows the runs of nights until ctx ends: it reports those that have ended, and
// accepts nights whose held run was approved.
func (s *Service) Watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.Settle(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, errChanged) {
			s.log.Debug("nights not followed; retried", "err", err)
		}
	}
}
