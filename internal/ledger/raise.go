package ledger

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// raisers is how many blocks are raised at once.
const raisers = 4

// Raise is a row of a run whose target is expected to hold the wanted values already.
type Raise struct {
	Target   Target
	Fields   []Field
	Revision int64
	Row      Row // its result becomes RowUnchanged
}

// Raise notes that targets hold the wanted values at a revision: the applied revision
// becomes that of the row, so that an older change that still waits is superseded, and
// the record is kept for another 400 days. It returns for each row whether that was done.
//
// It is done where Begin would decide `unchanged` for every field, and no attempt holds a
// lease; so never for a field of mode Effect, Edit or Resend, an unknown outcome, a
// value that may have been overwritten, a later change, or a damaged target. A row for
// which it was not done must be enqueued. Raising a row twice is harmless. One round trip
// for each 64 rows of an organisation's API.
func (l *Ledger) Raise(ctx context.Context, rows []Raise) ([]bool, error) {
	raised := make([]bool, len(rows))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(raisers)
	for _, block := range byTag(len(rows), func(i int) Target { return rows[i].Target }) {
		group.Go(func() error {
			return l.guarded("the raise of revisions", func() error { return l.raise(ctx, rows, block, raised) })
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return raised, nil
}

// raise raises the rows of a block, which have one tag.
func (l *Ledger) raise(ctx context.Context, rows []Raise, block []int, raised []bool) error {
	first := rows[block[0]].Target
	keys := []string{first.shared("runs"), first.index()}
	args := []any{keep.Milliseconds(), l.runKept.Milliseconds()}
	for _, i := range block {
		r := rows[i]
		run, key := "", keys[0]
		if !r.Row.none() {
			run, key = r.Row.name(), r.Row.key(r.Target)
		}
		keys = append(keys, r.Target.redisKey(), key)
		args = append(args, r.Target.Key, r.Revision, run, r.Row.number(), len(r.Fields))
		for _, f := range r.Fields {
			args = append(args, f.Name, f.Mode.String(), f.Value)
		}
	}
	answer, err := raise.Run(ctx, l.rdb, keys, args...).Int64Slice()
	switch {
	case err == nil:
	case damaging(err) && len(block) > 1: // the rows before the damage may be raised again
		for _, i := range block {
			if err := l.raise(ctx, rows, []int{i}, raised); err != nil {
				return err
			}
		}
		return nil
	case damaging(err):
		_ = l.explain(ctx, rows[block[0]].Target, err) // reports the damage
		return nil
	default:
		return fmt.Errorf("ledger: raise the revisions of unchanged rows: %w", err)
	}
	for n, i := range block {
		raised[i] = answer[n] == 1
	}
	return nil
}
