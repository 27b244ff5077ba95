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
	rows   []Row
	raw    []byte
	plans  []planRecord
}

// first is the number of the first row of the block, from 1.
func (b *block) first() int { return b.number*blockRows + 1 }

// blocks reads blocks of a run from one on, before another; withPlan reads their plans
// too. One command.
func (s *Service) blocks(ctx context.Context, id string, from, to int, withPlan bool) ([]*block, error) {
	numbers := make([]int, to-from)
	for i := range numbers {
		numbers[i] = from + i
	}
	return s.someBlocks(ctx, id, numbers, withPlan)
}

// someBlocks reads some blocks of a run, and their plans. One command: all keys of a run are
// on one node.
func (s *Service) someBlocks(ctx context.Context, id string, numbers []int, withPlan bool) ([]*block, error) {
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
		for _, rec := range records {
			b.rows = append(b.rows, rec.row())
		}
		if withPlan {
			key := keys[len(numbers)+i]
			if b.plans, _, err = readStored[planRecord](key, stored[len(numbers)+i]); err == nil && len(b.plans) != len(b.rows) {
				err = &ledger.DamagedError{Damage: ledger.Damage{Key: key, What: fmt.Sprintf("has %d rows, not %d", len(b.plans), len(b.rows))}}
			}
			if err != nil {
				return nil, fmt.Errorf("read the plan of run %s from row %d on: %w", id, b.first(), err)
			}
		}
		all[i] = b
	}
	return all, nil
}

// request is a row that can be compared: its lane, its target and what it wants there.
type request struct {
	lane   registry.Lane
	target ledger.Target
	fields []ledger.Field
	fault  string // why the row is impossible; "" if it is not
}

// resolve returns the requests of rows. An error is one of Redis.
func (s *Service) resolve(ctx context.Context, rows []Row) ([]request, error) {
	all := make([]request, len(rows))
	var lane registry.Lane // of the row before
	for i, r := range rows {
		task := r.Request.Task
		if task == nil || len(r.Problems) > 0 {
			all[i].fault = problems(r.Problems)
			if task == nil {
				continue
			}
		}
		if tenant, kind := task.Lane(); lane.Tenant != tenant || lane.Kind != kind {
			found, err := s.lanes.Find(ctx, tenant, kind)
			unserved, refused := errors.AsType[*tasks.UnservedError](err)
			switch {
			case refused:
				all[i].fault = unserved.Error()
				continue
			case err != nil:
				return nil, err
			}
			lane = found
		}
		all[i].lane = lane
		all[i].target, all[i].fields = kinds.Change(task, lane.Organisation)
		if err := r.Request.Validate(tasks.Limits{NicknameMax: lane.NicknameMax}); err != nil && all[i].fault == "" {
			all[i].fault = err.Error()
		}
	}
	return all, nil
}

func problems(all []string) string {
	if len(all) == 0 {
		return whyNoTask
	}
	return strings.Join(all, "; ")
}

// compare surveys the targets of requests and decides on each row.
func (s *Service) compare(ctx context.Context, rows []Row, requests []request, trust bool, now time.Time) ([]planRecord, []ledger.Record, error) {
	var targets []ledger.Target
	at := make([]int, len(rows))
	for i, q := range requests {
		if at[i] = -1; q.fault == "" {
			at[i], targets = len(targets), append(targets, q.target)
		}
	}
	known, err := s.ledger.Survey(ctx, targets)
	if err != nil {
		return nil, nil, err
	}
	plans, records := make([]planRecord, len(rows)), make([]ledger.Record, len(rows))
	for i, q := range requests {
		if at[i] < 0 {
			plans[i] = decided(RowImpossible, q.fault)
			continue
		}
		records[i] = known[at[i]]
		plans[i] = decide(rows[i], q.fields, records[i], trust, now)
	}
	return plans, records, nil
}
