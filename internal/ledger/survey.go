package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// surveyed is how many targets share a pipeline.
	surveyed = 512
	// surveyors is how many pipelines run at once: one is decoded while Redis works on
	// the other.
	surveyors = 2
)

// Survey reads the records of many targets, in their order, without their Effects. A
// target of which nothing is known has a Revision of 0 and no Fields. A damaged target is
// reported in its own record (Damaged) and costs the others nothing. [State.Open] is set.
// The targets may be of several APIs. One or two round trips for each 512 targets.
func (l *Ledger) Survey(ctx context.Context, targets []Target) ([]Record, error) {
	records := make([]Record, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(surveyors)
	for from := 0; from < len(targets); from += surveyed {
		to := min(from+surveyed, len(targets))
		group.Go(func() error {
			return l.guarded("the survey of targets", func() error { return l.survey(ctx, targets[from:to], records[from:to]) })
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("ledger: read the records of %d targets: %w", len(targets), err)
	}
	return records, nil
}

// survey reads the records of targets in one pipeline.
func (l *Ledger) survey(ctx context.Context, targets []Target, records []Record) error {
	hashes, edits := make([]*redis.MapStringStringCmd, len(targets)), make([]*redis.ZSliceCmd, len(targets))
	var clock *redis.TimeCmd
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		for i, t := range targets {
			hashes[i] = p.HGetAll(ctx, t.redisKey())
			edits[i] = p.ZRangeWithScores(ctx, t.edits(), 0, -1)
		}
		return nil
	}) // each command has its own error
	if err := clock.Err(); err != nil {
		return err
	}
	for i, t := range targets {
		var err error
		if records[i], err = l.surveyOne(ctx, t, hashes[i], edits[i], clock.Val()); err != nil {
			return err
		}
	}
	return l.readOpenChanges(ctx, records)
}

func (l *Ledger) surveyOne(ctx context.Context, t Target, hash *redis.MapStringStringCmd, edits *redis.ZSliceCmd, now time.Time) (Record, error) {
	r := readRecord(t, hash.Val(), now)
	r.Edits = readPositions(edits.Val())
	for _, err := range []error{hash.Err(), edits.Err()} {
		switch {
		case err == nil:
		case damaging(err):
			damage, err := l.WrongTypes(ctx, t.keyTypes())
			if err != nil {
				return r, err
			}
			r.Damaged = damage
		default:
			return r, err
		}
	}
	r.Damaged = append(r.Damaged, damagedEntries(t.redisKey(), hash.Val(), now)...)
	return r, nil
}

// readOpenChanges finds out which latest changes still wait: a change that was not
// applied may belong to a task that has ended.
func (l *Ledger) readOpenChanges(ctx context.Context, records []Record) error {
	type waiting struct {
		record *Record
		field  string
		open   *redis.BoolCmd
	}
	var all []waiting
	for i := range records {
		for name, s := range records[i].Fields {
			if s.Latest > s.Applied && s.TaskID != "" {
				all = append(all, waiting{record: &records[i], field: name})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, w := range all {
			all[i].open = p.HExists(ctx, w.record.Target.tasks(), w.record.Fields[w.field].TaskID)
		}
		return nil
	}) // each command has its own error
	for _, w := range all {
		s := w.record.Fields[w.field]
		err := w.open.Err()
		if err != nil && !damaging(err) {
			return err
		}
		s.Open = err != nil || w.open.Val() // without the records, a change counts as waiting
		w.record.Fields[w.field] = s
	}
	return nil
}
