package run

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"rollcall/internal/ledger"
)

// prepare compares all rows of an applied run with the ledger once more, before the first
// is sent: rows whose target was changed since the plan become conflicts, and the records
// of unchanged ones get the run's revision.
func (t *turn) prepare(ctx context.Context) error {
	all := blocksOf(t.head.rows())
	if t.ready.Counts == nil {
		t.ready.Counts = maps.Clone(t.run.Plan.Counts)
	}
	for t.ready.Blocks < all && ctx.Err() == nil {
		to := min(t.ready.Blocks+blocksTogether, all)
		if err := t.prepareBlocks(ctx, t.ready.Blocks, to); err != nil {
			return err
		}
		if to == all {
			t.log.Debug("run compared again", "run", t.head.id, "rows", t.head.rows())
		}
	}
	return ctx.Err()
}

func (t *turn) prepareBlocks(ctx context.Context, from, to int) error {
	blocks, err := t.blocks(ctx, t.head.id, span(from, to), true)
	if err != nil {
		return err
	}
	t.ready.Blocks = to // if it cannot be saved, the turn ends
	u := update{}
	for _, b := range blocks {
		for _, q := range b.rows { // count counts them as they are then
			t.ready.Counts[q.plan.decision()]--
		}
		changed, err := t.recompare(ctx, b)
		if err != nil {
			return err
		}
		t.count(b)
		if !changed {
			continue
		}
		if err := put(&u, planKey(t.head.id, b.number), b.plans); err != nil {
			return err
		}
	}
	u.set = map[string]string{
		fieldPrepared: text(t.ready), fieldProgress: fmt.Sprintf(saysCompared, min(to*blockRows, t.head.rows()), t.head.rows()),
	}
	return t.save(ctx, u)
}

// count counts the decisions of a block, and notes the rows of the canary.
func (t *turn) count(b *block) {
	size, ready := t.run.Settings.canary(), &t.ready
	for _, q := range b.rows {
		d := q.plan.decision()
		ready.Counts[d]++
		if d == RowUnchanged {
			ready.Equal++
		}
		if !d.Calls() || ready.Full || q.Request.Options.At.After(t.now()) {
			continue
		}
		if t.run.Settings.CanaryChats {
			chat := chatOf(q.Request.Task)
			if slices.Contains(ready.Chats, chat) {
				continue
			}
			ready.Chats = append(ready.Chats, chat)
		}
		if ready.Full = len(ready.Canary) >= size; !ready.Full {
			ready.Canary = append(ready.Canary, q.number)
		}
	}
}

// recompare decides on the rows of a block again, and reports whether a decision changed.
func (t *turn) recompare(ctx context.Context, b *block) (changed bool, err error) {
	now, _, err := t.compare(ctx, b.rows, t.run.Settings.TrustPrevious, t.head.now)
	if err != nil {
		return false, err
	}
	if err := t.compareTwice(ctx, b, now); err != nil {
		return false, err
	}
	var equal, stated []request // rows whose target is to be raised, and of whose target a file states the value
	for i, q := range b.rows {
		plan := q.plan
		switch d := plan.decision(); {
		case plan.Stated && d == RowUnchanged:
			if now[i].Stated && now[i].decision() == RowUnchanged && plan.Twin == 0 {
				stated = append(stated, q)
			}
			continue
		case d != RowUnchanged && !d.Calls(), plan.Twin != 0:
			continue
		case now[i].decision() == RowImpossible:
			*plan, changed = decided(RowImpossible, now[i].Why), true
		case now[i].decision() == RowUnchanged:
			equal = append(equal, q)
		case d == RowUnchanged:
			*plan, changed = decided(RowConflict, whyChanged), true
		default:
			if why := changedSince(*plan, now[i]); why != "" {
				*plan, changed = decided(RowConflict, why), true
			}
		}
	}
	revised, err := t.own(ctx, b)
	if err != nil {
		return false, err
	}
	if err := t.noteStated(ctx, stated); err != nil {
		return false, err
	}
	raised, err := t.raise(ctx, equal)
	return changed || revised || raised, err
}

// compareTwice compares rows once more that have a later change which neither waits nor
// shows in the value: it may have been applied between the two reads of a survey.
func (t *turn) compareTwice(ctx context.Context, b *block, now []planRecord) error {
	var again []request
	for i, rec := range now {
		if rec.Newest > b.plans[i].Newest && changedSince(b.plans[i], rec) == "" {
			again = append(again, b.rows[i])
		}
	}
	if len(again) == 0 {
		return nil
	}
	second, _, err := t.compare(ctx, again, t.run.Settings.TrustPrevious, t.head.now)
	if err != nil {
		return err
	}
	for i, q := range again {
		now[q.number-b.first()] = second[i]
	}
	return nil
}

// own takes revisions for rows whose target had one that was ahead of Redis' clock.
func (t *turn) own(ctx context.Context, b *block) (changed bool, err error) {
	var ahead []request
	for _, q := range b.rows {
		d := q.plan.decision()
		if q.plan.Ahead != 0 && q.plan.Revision == 0 && (d == RowUnchanged || d.Calls()) && !q.later() {
			ahead = append(ahead, q)
		}
	}
	return len(ahead) > 0, t.takeRevisions(ctx, ahead)
}

// noteStated records the values that a trusted file states of targets that are not known:
// later runs find them unchanged, too.
func (t *turn) noteStated(ctx context.Context, stated []request) error {
	rows := make([]ledger.Raise, len(stated))
	for i, q := range stated {
		rows[i] = ledger.Raise{Target: q.target, Fields: q.fields, Revision: t.revisions.of(q)}
	}
	rows = slices.DeleteFunc(rows, func(r ledger.Raise) bool { return r.Fields[0].Mode != ledger.Value })
	return t.ledger.NoteStated(ctx, rows)
}

// raise notes that the targets of rows have their values at the run's revision. A row of
// the plan's changes whose target is being changed right now stays one; an unchanged row
// becomes a conflict, as the plan has no call for it.
func (t *turn) raise(ctx context.Context, equal []request) (changed bool, err error) {
	if len(equal) == 0 {
		return false, nil
	}
	rows := make([]ledger.Raise, len(equal))
	for i, q := range equal {
		rows[i] = ledger.Raise{
			Target: q.target, Fields: q.fields, Revision: t.revisions.of(q),
			Row: ledger.Row{Tenant: q.lane.Tenant, Run: t.head.id, Row: q.number},
		}
	}
	done, err := t.ledger.Raise(ctx, rows)
	if err != nil {
		return false, err
	}
	for i, q := range equal {
		switch plan := q.plan; {
		case done[i] && plan.decision() != RowUnchanged:
			plan.Decision, plan.Why, changed = letters[RowUnchanged], "", true
		case !done[i] && plan.decision() == RowUnchanged:
			*plan, changed = decided(RowConflict, whyBusy), true
		}
	}
	return changed, nil
}
