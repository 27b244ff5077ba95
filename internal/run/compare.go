package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// blocksTogether is how many blocks one step of a pass reads: 4,096 rows.
const blocksTogether = 16

// block is a block of rows on its way through a pass.
type block struct {
	number int
	rows   []request
	raw    []byte
	plans  []planRecord
}

// first is the number of the first row of the block, from 1.
func (b *block) first() int { return b.number*blockRows + 1 }

// span returns the numbers of the blocks from one on, before another.
func span(from, to int) []int {
	numbers := make([]int, max(0, to-from))
	for i := range numbers {
		numbers[i] = from + i
	}
	return numbers
}

// blocks reads some blocks of a run, and resolves their rows; withPlan reads their plans too.
// One command.
func (s *Service) blocks(ctx context.Context, id string, numbers []int, withPlan bool) ([]*block, error) {
	blocks, err := s.storedBlocks(ctx, id, numbers, withPlan)
	for _, b := range blocks {
		if err == nil {
			err = s.resolve(ctx, b.rows)
		}
	}
	return blocks, err
}

// storedBlocks reads some blocks of a run, whose rows are not resolved. One command: all keys
// of a run are on one node.
func (s *Service) storedBlocks(ctx context.Context, id string, numbers []int, withPlan bool) ([]*block, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	keys := make([]string, 0, 2*len(numbers))
	for _, n := range numbers {
		keys = append(keys, rowsKey(id, n))
	}
	if withPlan {
		for _, n := range numbers {
			keys = append(keys, planKey(id, n))
		}
	}
	stored, err := s.rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read rows of run %s: %w", id, err)
	}
	all := make([]*block, len(numbers))
	for i, n := range numbers {
		b := &block{number: n}
		records, raw, err := readStored[rowRecord](keys[i], stored[i])
		if err != nil {
			return nil, fmt.Errorf("read rows of run %s from %d on: %w", id, b.first(), err)
		}
		b.raw = raw
		b.rows = make([]request, len(records))
		for n, rec := range records {
			b.rows[n] = request{Row: rec.row(), number: b.first() + n}
		}
		if withPlan {
			key := keys[len(numbers)+i]
			if b.plans, _, err = readStored[planRecord](key, stored[len(numbers)+i]); err == nil && len(b.plans) != len(b.rows) {
				err = &ledger.DamagedError{Damage: ledger.Damage{Key: key, What: fmt.Sprintf("has %d rows, not %d", len(b.plans), len(b.rows))}}
			}
			if err != nil {
				return nil, fmt.Errorf("read the plan of run %s from row %d on: %w", id, b.first(), err)
			}
			for n := range b.rows {
				b.rows[n].plan = &b.plans[n]
			}
		}
		all[i] = b
	}
	return all, nil
}

// request is a row of a run on its way through a pass.
type request struct {
	Row

	number int         // from 1
	plan   *planRecord // in its block; nil if the plan was not read

	// The rest is there once the row is resolved: its lane, its target and what it wants there.
	lane   registry.Lane
	target ledger.Target
	fields []ledger.Field
	fault  string // why the row is impossible; "" if it is not
}

// laneName names the lane of the row.
func (q request) laneName() string { return registry.Queue(q.lane.Tenant, q.lane.Kind, false) }

// resolve resolves rows. An error is one of Redis.
func (s *Service) resolve(ctx context.Context, rows []request) error {
	var lane registry.Lane // of the row before
	for i := range rows {
		q := &rows[i]
		task := q.Request.Task
		if task == nil || len(q.Problems) > 0 {
			q.fault = problems(q.Problems)
			if task == nil {
				continue
			}
		}
		if tenant, kind := task.Lane(); lane.Tenant != tenant || lane.Kind != kind {
			found, err := s.lanes.Find(ctx, tenant, kind)
			unserved, refused := errors.AsType[*tasks.UnservedError](err)
			switch {
			case refused:
				q.fault = unserved.Error()
				continue
			case err != nil:
				return err
			}
			lane = found
		}
		q.lane = lane
		q.target, q.fields = kinds.Change(task, lane.Organisation)
		if err := q.Request.Validate(tasks.Limits{NicknameMax: lane.NicknameMax}); err != nil && q.fault == "" {
			q.fault = err.Error()
		}
	}
	return nil
}

func problems(all []string) string {
	if len(all) == 0 {
		return whyNoTask
	}
	return strings.Join(all, "; ")
}

// compare surveys the targets of rows and decides on each row.
func (s *Service) compare(ctx context.Context, rows []request, trust bool, now time.Time) ([]planRecord, []ledger.Record, error) {
	var targets []ledger.Target
	at := make([]int, len(rows))
	for i, q := range rows {
		if at[i] = -1; q.fault == "" {
			at[i], targets = len(targets), append(targets, q.target)
		}
	}
	known, err := s.ledger.Survey(ctx, targets)
	if err != nil {
		return nil, nil, err
	}
	plans, records := make([]planRecord, len(rows)), make([]ledger.Record, len(rows))
	for i, q := range rows {
		if at[i] < 0 {
			plans[i] = decided(RowImpossible, q.fault)
			continue
		}
		records[i] = known[at[i]]
		plans[i] = decide(q, records[i], trust, now)
	}
	return plans, records, nil
}
