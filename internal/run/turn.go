package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/ledger"
)

const (
	// defaultRate is that of a lane whose rate no worker has published.
	defaultRate = 20
	// leastAhead is how many rows at least a queue is filled with: a turn comes every ten
	// seconds.
	leastAhead = 32

	shortWait, longWait = time.Second, 10 * time.Second
)

// turn is one turn of a run: a worker has it alone.
type turn struct {
	*Feeder
	progress

	run       Run
	token     string
	revisions revisions
	judged    judgement
}

// readiness is what is known of a run since it was applied.
type readiness struct {
	Blocks int              `json:"blocks"` // that were compared again
	Counts map[Decision]int `json:"counts"` // those of the plan, and what changed since
	Equal  int              `json:"equal"`  // rows that were compared again and are unchanged
	// Canary are the first rows that are sent, of those that have not failed to be sent.
	Canary []int `json:"canary,omitempty"`
	Full   bool  `json:"full,omitzero"` // no more rows belong to the canary
	// Chats are those that have a row in a canary of chats.
	Chats []string `json:"chats,omitempty"`
}

// judgement is what had ended and failed when somebody resumed the run.
type judgement struct {
	Ended  int `json:"ended"`
	Failed int `json:"failed"`
}

// save writes what a step of the turn found, if the run is still with this turn and in
// the same state.
func (t *turn) save(ctx context.Context, u update) error {
	u.when = map[string]string{fieldFeeder: t.token, fieldState: string(t.head.state())}
	if err := t.write(ctx, t.head.id, u); err != nil {
		return err
	}
	maps.Copy(t.head.fields, u.set)
	return nil
}

// revisions are those of the rows of a run, by organisation/API.
type revisions map[string]int64

// of returns the revision of a row.
func (r revisions) of(q request) int64 {
	if q.plan.Revision != 0 {
		return q.plan.Revision
	}
	return r[apiName(q.target.Organisation, q.target.API)]
}

// taskID is the id of the asynq task of a row.
func taskID(id string, number int) string { return id + ":" + strconv.Itoa(number) }

// later reports whether a row takes its revision when it is fed: edits of members are
// carried out in the order of their revisions, and a source counts its own.
func (q request) later() bool {
	return q.Request.Options.Source != "" || slices.ContainsFunc(q.fields, func(f ledger.Field) bool { return f.Mode == ledger.Edit })
}

// feed fills the queues of the lanes, judges what has ended, and returns when the next
// turn is due and how far the run is; "" if it has ended.
func (t *turn) feed(ctx context.Context) (time.Duration, string, error) {
	if err := t.wake(ctx); err != nil {
		return 0, "", err
	}
	if what, err := t.canary(ctx); what != "" || err != nil {
		return t.short, what, err
	}
	lead, all, err := t.fill(ctx)
	if err != nil {
		return 0, "", err
	}
	s, err := t.score(ctx)
	if err != nil {
		return 0, "", err
	}
	if all && s.open == 0 {
		done, err := t.finish(ctx)
		if done || err != nil {
			return 0, "", err
		}
	}
	if err := t.judge(ctx, s); err != nil {
		return 0, "", err
	}
	what := fmt.Sprintf(saysFed+"; "+saysEnded, t.fed(), t.run.Plan.Calls(), s.ended, s.failed)
	return min(max(lead/4, t.short), longWait), what, t.report(ctx, what)
}

// canary feeds the first rows, and ends their time when all have ended. It returns how far
// they are, "" if the rest may be fed.
func (t *turn) canary(ctx context.Context) (string, error) {
	if t.head.state() != StateCanary {
		return "", nil
	}
	if t.head.fields[fieldPassed] != "" || len(t.ready.Canary) == 0 {
		return "", t.pass(ctx)
	}
	if err := t.fillCanary(ctx); err != nil {
		return "", err
	}
	s, err := t.score(ctx)
	if err != nil {
		return "", err
	}
	if err := t.judge(ctx, s); err != nil {
		return "", err
	}
	if s.canary == 0 {
		return "", t.pass(ctx)
	}
	what := fmt.Sprintf(saysCanary, s.canary, len(t.ready.Canary))
	return what, t.report(ctx, what)
}

// report shows the progress of the run.
func (t *turn) report(ctx context.Context, what string) error {
	return t.save(ctx, update{set: map[string]string{fieldProgress: what}})
}

func (t *turn) fed() int {
	n := 0
	for _, l := range t.run.Plan.Lanes {
		n += t.head.number(fieldFedRows + laneName(l))
	}
	return n
}

// pass ends the canary.
func (t *turn) pass(ctx context.Context) error {
	u, err := t.head.move(eventPass, "", "")
	if err != nil {
		return err
	}
	u.set[fieldPassed] = "1"
	return t.save(ctx, u)
}
