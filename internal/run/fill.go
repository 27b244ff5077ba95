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
		after := t.head.number(fieldFed + laneName(l)) // the last row that was fed
		from := max(after/blockRows, l.First)
		if after >= end {
			return fed, nil
		}
		to := min(from+1+(room-fed)/blockRows, from+blocksTogether, blocksOf(end))
		blocks, err := t.blocks(ctx, t.head.id, from, to, true)
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

// candidate is a row of a block that is due to be fed.
type candidate struct {
	at      int // in the block
	request request
}

// feedBlock feeds the rows of a block that belong to a lane, at most n, and notes how far
// it is.
func (t *turn) feedBlock(ctx context.Context, l Lane, b *block, end, n int) (fed int, err error) {
	requests, err := t.resolve(ctx, b.rows)
	if err != nil {
		return 0, err
	}
	after := t.head.number(fieldFed + laneName(l))
	var due []candidate
	reached := min(b.number*blockRows+len(b.rows), end)
	for i, q := range requests {
		number := b.first() + i
		if number <= after || number > end || !b.plans[i].decision().Calls() || q.lane.Tenant != l.Tenant || q.lane.Kind != l.Kind {
			continue
		}
		if len(due) == n {
			reached = number - 1
			break
		}
		due = append(due, candidate{at: i, request: q})
	}
	due, err = t.revise(ctx, b, due)
	if err != nil {
		return 0, err
	}
	amended, err := t.enqueue(ctx, b, due)
	if err != nil {
		return 0, err
	}
	u := update{set: map[string]string{
		fieldFed + laneName(l):     strconv.Itoa(reached),
		fieldFedRows + laneName(l): strconv.Itoa(t.head.number(fieldFedRows+laneName(l)) + len(due)),
	}}
	if amended {
		if err := t.amended(b, &u); err != nil {
			return 0, err
		}
	}
	return len(due), t.save(ctx, u)
}

// amended adds a block whose decisions have changed to an update, with the new counts.
func (t *turn) amended(b *block, u *update) error {
	packed, _, err := pack(b.plans)
	if err != nil {
		return err
	}
	u.blocks = map[string][]byte{planKey(t.head.id, b.number): packed}
	u.set[fieldPrepared] = text(t.ready)
	return nil
}

// redecide changes the decision on a row that was to be sent.
func (t *turn) redecide(b *block, i int, d Decision, why string) {
	t.ready.Counts[b.plans[i].decision()]--
	t.ready.Counts[d]++
	if d == RowUnchanged {
		t.ready.Equal++
	}
	b.plans[i].Decision, b.plans[i].Why = letters[d], why
	number := b.first() + i
	t.ready.Canary = slices.DeleteFunc(t.ready.Canary, func(n int) bool { return n == number })
}

// revise takes the revisions of rows that take them when they are fed, and stores them in
// the run before any of their tasks. It returns the rows that are still to be fed.
func (t *turn) revise(ctx context.Context, b *block, due []candidate) ([]candidate, error) {
	late := slices.DeleteFunc(slices.Clone(due), func(c candidate) bool {
		return !later(b.rows[c.at], c.request.fields) || b.plans[c.at].Revision != 0
	})
	if len(late) == 0 {
		return due, nil
	}
	dropped, err := t.dropChanged(ctx, b, late)
	if err != nil {
		return nil, err
	}
	due = slices.DeleteFunc(due, func(c candidate) bool { return dropped[c.at] })
	var at []int
	var changes []ledger.Change
	for _, c := range late {
		if o := b.rows[c.at].Request.Options; !dropped[c.at] && o.Source == "" {
			at = append(at, c.at)
			changes = append(changes, ledger.Change{
				Target: c.request.target, Fields: c.request.fields, TaskID: taskID(t.head.id, b.first()+c.at), Later: o.At.After(t.now()),
			})
		}
	}
	for i, revised := range t.ledger.Revise(ctx, changes...) {
		if revised.Err != nil {
			return nil, revised.Err
		}
		b.plans[at[i]].Revision = revised.Revision
	}
	u := update{set: map[string]string{}}
	if err := t.amended(b, &u); err != nil {
		return nil, err
	}
	return due, t.save(ctx, u)
}

// dropChanged turns rows into conflicts whose target has a later change than the run.
func (t *turn) dropChanged(ctx context.Context, b *block, late []candidate) (map[int]bool, error) {
	targets := make([]ledger.Target, len(late))
	for i, c := range late {
		targets[i] = c.request.target
	}
	known, err := t.ledger.Survey(ctx, targets)
	if err != nil {
		return nil, err
	}
	dropped := map[int]bool{}
	for i, c := range late {
		for _, f := range c.request.fields {
			state := known[i].Fields[f.Name]
			if f.Mode != ledger.Edit && max(state.Latest, state.Applied) > t.revision(c.request, planRecord{}) {
				dropped[c.at] = true
				t.redecide(b, c.at, RowConflict, whyLater)
				break
			}
		}
	}
	return dropped, nil
}

// enqueue stores the tasks of rows. amended reports that some will never be stored, and
// that their decisions have changed.
func (t *turn) enqueue(ctx context.Context, b *block, due []candidate) (amended bool, err error) {
	rows := make([]enqueue.FedRow, len(due))
	for i, c := range due {
		number := b.first() + c.at
		request := b.rows[c.at].Request
		request.Options.Run, request.Options.Row = t.head.id, number
		rows[i] = enqueue.FedRow{Request: request, TaskID: taskID(t.head.id, number), Revision: t.revision(c.request, b.plans[c.at])}
		if request.Options.Source != "" {
			rows[i].Revision = 0
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	for i, result := range t.producer.Feed(ctx, rows) {
		at := due[i].at
		switch result.Outcome {
		case tasks.Stored:
			lane := due[i].request.lane
			t.fedRows(registry.Queue(lane.Tenant, lane.Kind, false), 1)
		case tasks.AlreadyThere:
			if result.TaskID != "" && result.TaskID != rows[i].TaskID {
				t.redecide(b, at, RowUnchanged, fmt.Sprintf(whyKey, result.TaskID))
				b.plans[at].Twin, amended = -1, true
			}
		case tasks.Outdated:
			t.redecide(b, at, RowConflict, whySource)
			amended = true
		case tasks.Refused:
			t.redecide(b, at, RowImpossible, result.Err.Error())
			amended = true
		case tasks.NotStored, tasks.NotKnown:
			return false, fmt.Errorf("row %d: %w", b.first()+at, result.Err)
		default:
			return false, errors.New("enqueue returned " + result.Outcome.String())
		}
	}
	return amended, nil
}
