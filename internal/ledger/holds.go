package ledger

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// asked is how many targets a script looks at: it takes a millisecond of Redis' time.
	asked = 256
	// askers is how many of these scripts are on their way at once.
	askers = 3
)

// Evidence is how an applied value is known.
type Evidence uint8

// The kinds of evidence, the weakest first.
const (
	// EvidenceNone means that it is not known when or how the value was applied: Redis lost
	// that, or an old version wrote the record.
	EvidenceNone Evidence = iota
	// EvidenceStated means that a file stated the value, and no call was made.
	EvidenceStated
	// EvidenceDoubt means that the call that applied the value was answered, and that the
	// outcome of one before it was unknown.
	EvidenceDoubt
	// EvidenceAnswered means that the platform answered the call that applied the value.
	EvidenceAnswered
)

// Held is what is known of a target that holds a wanted value.
type Held struct {
	// Holds says that the target holds the value, and that nothing is underway there. false:
	// that is not so, or cannot be said without its record.
	Holds    bool
	Evidence Evidence
	Since    time.Time // when the value was confirmed last, or when that was tried; zero: not known
}

// Wanted is a value that a target may hold.
type Wanted struct {
	Target Target
	Field  Field // of mode Value
}

// Holding finds out which targets hold wanted values, without reading their records: most
// of a roster does. What it finds is what a Survey would show. A damaged target does not
// hold its value. One round trip for each 256 targets of an organisation's API.
func (l *Ledger) Holding(ctx context.Context, wanted []Wanted) ([]Held, error) {
	held := make([]Held, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askers)
	parts := inBlocks(len(wanted), asked, func(i int) (field [3]string, ok bool) {
		w := wanted[i]
		return [3]string{w.Target.Organisation, w.Target.API, w.Field.Name}, w.Field.Mode == Value
	})
	for _, part := range parts {
		group.Go(func() error {
			return l.guarded("the comparison of targets", func() error { return l.holding(ctx, wanted, part, held) })
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return held, nil
}

func (l *Ledger) holding(ctx context.Context, wanted []Wanted, part []int, held []Held) error {
	keys, args := make([]string, len(part)), make([]any, 1, len(part)+1)
	args[0] = wanted[part[0]].Field.Name
	for n, i := range part {
		keys[n] = wanted[i].Target.redisKey()
		args = append(args, wanted[i].Field.Value)
	}
	answer, err := holds.Run(ctx, l.rdb, keys, args...).Int64Slice()
	switch {
	case err != nil:
		return fmt.Errorf("ledger: compare %d targets: %w", len(part), err)
	case len(answer) != len(part):
		return fmt.Errorf("ledger: compare %d targets: Redis answered about %d", len(part), len(answer))
	}
	for n, i := range part {
		if answer[n] > 0 {
			held[i] = readHeld(answer[n])
		}
	}
	return nil
}

func readHeld(answer int64) Held {
	h := Held{Holds: true, Evidence: [8]Evidence{1: EvidenceAnswered, 2: EvidenceDoubt, 3: EvidenceStated}[answer%8]}
	if s := answer / 8; s > 0 {
		h.Since = time.Unix(s, 0)
	} else if h.Evidence != EvidenceStated {
		h.Evidence = EvidenceNone
	}
	return h
}

// Evidence returns how the value of a field of a record is known, and since when.
func (r Record) Evidence(field string) (Evidence, time.Time) {
	since := r.Settled
	if r.Tried.After(since) {
		since = r.Tried
	}
	if since.Unix() <= 0 {
		since = time.Time{}
	}
	switch how := r.Fields[field].Evidence; {
	case how == wordStated:
		return EvidenceStated, since
	case since.IsZero():
		return EvidenceNone, since
	case how == wordDoubt:
		return EvidenceDoubt, since
	}
	return EvidenceAnswered, since
}
