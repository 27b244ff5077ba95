package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// fill fills the queues of all lanes. lead is how long the shortest queue lasts; all
// reports that nothing is left to feed.
func (t *turn) fill(ctx context.Context) (lead time.Duration, all bool, err error) {
	lanes := slices.DeleteFunc(slices.Clone(t.run.Plan.Lanes), func(l Lane) bool { return l.Calls == 0 })
	rates, pending, err := t.loads(ctx, lanes)
	if err != nil {
		return 0, false, err
	}
	lead, all = t.ahead, true
	for i, l := range lanes {
		end := min((l.Last+1)*blockRows, t.head.rows())
		if t.head.state() == StateCanary {
			end = min(end, slices.Max(t.ready.Canary))
		}
		room := max(ceil(rates[i]*t.ahead.Seconds()), leastAhead) - pending[i]
		if room > 0 {
			fed, err := t.fillLane(ctx, l, end, room)
			if err != nil {
				return 0, false, err
			}
			pending[i] += fed
		}
		if t.head.number(fieldFed+laneName(l)) < end {
			all = false
			lead = min(lead, time.Duration(float64(pending[i])/rates[i]*float64(time.Second)))
		}
	}
	if all {
		lead = 2 * t.short
	}
	return lead, all, nil
}

// loads returns the rate of each lane and how many tasks are pending there. Three round
// trips.
func (t *turn) loads(ctx context.Context, lanes []Lane) (rates []float64, pending []int, err error) {
	refs, queues := make([]pace.Ref, len(lanes)), make([]string, 0, 2*len(lanes))
	for i, l := range lanes {
		refs[i] = pace.Ref{Organisation: l.Organisation, Lane: laneName(l)}
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, false), registry.Queue(l.Tenant, l.Kind, true))
	}
	states, err := pace.Read(ctx, t.rdb, refs)
	if err != nil {
		return nil, nil, err
	}
	lengths, err := backlog.Pending(ctx, t.rdb, queues)
	if err != nil {
		return nil, nil, err
	}
	rates, pending = make([]float64, len(lanes)), make([]int, len(lanes))
	for i := range lanes {
		if rates[i] = states[i].Allowed; rates[i] <= 0 {
			rates[i] = defaultRate
		}
		pending[i] = int(lengths[2*i] + lengths[2*i+1])
	}
	return rates, pending, nil
}

// fillLane feeds rows of a lane up to a row of the run, as many as there is room for.
func (t *turn) fillLane(ctx context.Context, l Lane, end, room int) (fed int, err error) {
	for fed < room && ctx.Err() == nil {
		// The canary may end before the first block of the lane.
		after := max(t.head.number(fieldFed+laneName(l)), l.First*blockRows)
		if after >= end {
			return fed, nil
		}
		from := after / blockRows
		to := min(from+1+(room-fed)/blockRows, from+blocksTogether, blocksOf(end))
		blocks, err := t.blocks(ctx, t.head.id, span(from, to), true)
		if err != nil {
			return fed, err
		}
		for _, b := range blocks {
			n, err := t.feedBlock(ctx, l, b, end, room-fed)
			fed += n
			if err != nil || fed >= room {
				return fed, err
			}
		}
	}
	return fed, ctx.Err()
}

// feedBlock feeds the rows of a block that belong to a lane, at most n, and notes how far
// it is.
func (t *turn) feedBlock(ctx context.Context, l Lane, b *block, end, n int) (fed int, err error) {
	after := t.head.number(fieldFed + laneName(l))
	var due []request
	reached := min(b.number*blockRows+len(b.rows), end)
	for _, q := range b.rows {
		if q.number <= after || q.number > end || !q.plan.decision().Calls() || q.lane.Tenant != l.Tenant || q.lane.Kind != l.Kind {
			continue
		}
		if len(due) == n {
			reached = q.number - 1
			break
		}
		due = append(due, q)
	}
	fed, u, err := t.send(ctx, b, due)
	if err != nil {
		return 0, err
	}
	u.set[fieldFed+laneName(l)] = strconv.Itoa(reached)
	u.set[fieldFedRows+laneName(l)] = strconv.Itoa(t.head.number(fieldFedRows+laneName(l)) + fed)
	return fed, t.save(ctx, u)
}

// send feeds rows of a block, and returns how many, with what is to be saved then: the block, if
// decisions of it have changed.
func (t *turn) send(ctx context.Context, b *block, due []request) (fed int, u update, err error) {
	if due, err = t.revise(ctx, b, due); err != nil {
		return 0, u, err
	}
	amended, err := t.enqueue(ctx, due)
	if err != nil {
		return 0, u, err
	}
	u.set = map[string]string{}
	if amended {
		err = t.amended(b, &u)
	}
	return len(due), u, err
}

// amended adds a block whose decisions have changed to an update, with the new counts.
func (t *turn) amended(b *block, u *update) error {
	u.set[fieldPrepared] = text(t.ready)
	return put(u, planKey(t.head.id, b.number), b.plans)
}

// redecide changes the decision on a row that was to be sent.
func (t *turn) redecide(q request, d Decision, why string) {
	t.ready.Counts[q.plan.decision()]--
	t.ready.Counts[d]++
	if d == RowUnchanged {
		t.ready.Equal++
	}
	q.plan.Decision, q.plan.Why = letters[d], why
	t.ready.Canary = slices.DeleteFunc(t.ready.Canary, func(n int) bool { return n == q.number })
}

// revise takes the revisions of rows that take them when they are fed, and stores them in
// the run before any of their tasks. It returns the rows that are still to be fed.
func (t *turn) revise(ctx context.Context, b *block, due []request) ([]request, error) {
	late := slices.DeleteFunc(slices.Clone(due), func(q request) bool { return !q.later() || q.plan.Revision != 0 })
	if len(late) == 0 {
		return due, nil
	}
	if err := t.dropChanged(ctx, late); err != nil {
		return nil, err
	}
	due = slices.DeleteFunc(due, func(q request) bool { return !q.plan.decision().Calls() })
	late = slices.DeleteFunc(late, func(q request) bool { return !q.plan.decision().Calls() || q.Request.Options.Source != "" })
	if err := t.takeRevisions(ctx, late); err != nil {
		return nil, err
	}
	u := update{set: map[string]string{}}
	if err := t.amended(b, &u); err != nil {
		return nil, err
	}
	return due, t.save(ctx, u)
}

// takeRevisions takes a revision for each of some rows.
func (t *turn) takeRevisions(ctx context.Context, rows []request) error {
	changes := make([]ledger.Change, len(rows))
	for i, q := range rows {
		changes[i] = ledger.Change{
			Target: q.target, Fields: q.fields, TaskID: taskID(t.head.id, q.number), Later: q.Request.Options.At.After(t.now()),
		}
	}
	for i, revised := range t.ledger.Revise(ctx, changes...) {
		if revised.Err != nil {
			return revised.Err
		}
		rows[i].plan.Revision = revised.Revision
	}
	return nil
}

// dropChanged turns rows into conflicts whose target has a later change than the run.
func (t *turn) dropChanged(ctx context.Context, late []request) error {
	targets := make([]ledger.Target, len(late))
	for i, q := range late {
		targets[i] = q.target
	}
	known, err := t.ledger.Survey(ctx, targets)
	if err != nil {
		return err
	}
	for i, q := range late {
		for _, f := range q.fields {
			state := known[i].Fields[f.Name]
			if f.Mode != ledger.Edit && max(state.Latest, state.Applied) > t.revisions.of(q) {
				t.redecide(q, RowConflict, whyLater)
				break
			}
		}
	}
	return nil
}

// enqueue stores the tasks of rows. amended reports that some will never be stored, and
// that their decisions have changed.
func (t *turn) enqueue(ctx context.Context, due []request) (amended bool, err error) {
	rows := make([]enqueue.FedRow, len(due))
	for i, q := range due {
		q.Request.Options.Run, q.Request.Options.Row = t.head.id, q.number
		rows[i] = enqueue.FedRow{Request: q.Request, TaskID: taskID(t.head.id, q.number), Revision: t.revisions.of(q)}
		if q.Request.Options.Source != "" {
			rows[i].Revision = 0
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	for i, result := range t.producer.Feed(ctx, rows) {
		q := due[i]
		switch result.Outcome {
		case tasks.Stored:
			t.fedRows(q.laneName(), 1)
		case tasks.AlreadyThere:
			if result.TaskID != "" && result.TaskID != rows[i].TaskID {
				t.redecide(q, RowUnchanged, fmt.Sprintf(whyKey, result.TaskID))
				q.plan.Twin, amended = -1, true
			}
		case tasks.Outdated:
			t.redecide(q, RowConflict, whySource)
			amended = true
		case tasks.Refused:
			t.redecide(q, RowImpossible, result.Err.Error())
			amended = true
		case tasks.NotStored, tasks.NotKnown:
			return false, fmt.Errorf("row %d: %w", q.number, result.Err)
		default:
			return false, errors.New("enqueue returned " + result.Outcome.String())
		}
	}
	return amended, nil
}
