package run

import (
	"context"
	"errors"
	"slices"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// Forgotten is what Forget removed, or would remove.
type Forgotten struct {
	Runs, Rows int
	// Busy are the ids of runs that have such rows and have not ended: they were left
	// alone. Cancel them or let them end, then forget again.
	Busy []string
}

// Forget removes what runs hold about some rows: their tasks, old values, request ids and
// messages. The rows keep their numbers, and the run its counts. Runs that were applied and
// have not ended are left alone. It reads all rows of all runs.
func (s *Service) Forget(ctx context.Context, matches func(tasks.Task) bool) (Forgotten, error) {
	return forgetting{s, matches, true}.all(ctx)
}

// Mention counts what Forget would remove.
func (s *Service) Mention(ctx context.Context, matches func(tasks.Task) bool) (Forgotten, error) {
	return forgetting{s, matches, false}.all(ctx)
}

// forgetting is one pass over all runs.
type forgetting struct {
	*Service

	matches func(tasks.Task) bool
	removes bool // else it only counts
}

func (f forgetting) all(ctx context.Context) (Forgotten, error) {
	var all Forgotten
	var damaged []error // they are forgotten after their repair
	for from := 0; ; from += listPage {
		ids, err := f.newest(ctx, from, listPage)
		if err != nil || len(ids) == 0 {
			return all, errors.Join(append(damaged, err)...)
		}
		heads, err := f.loadAll(ctx, ids)
		if err != nil {
			return all, err
		}
		for _, h := range heads {
			err := h.damagedError()
			rows := 0
			if err == nil {
				rows, err = f.run(ctx, h)
			}
			if _, is := errors.AsType[*ledger.DamagedError](err); is {
				damaged = append(damaged, err)
				continue
			}
			if errors.Is(err, errBusy) {
				all.Busy = append(all.Busy, h.id)
				continue
			}
			if err != nil {
				return all, raced(h.id, err)
			}
			if all.Rows += rows; rows > 0 {
				all.Runs++
			}
		}
	}
}

var errBusy = errors.New("the run has not ended")

// run removes rows from one run.
func (f forgetting) run(ctx context.Context, h *head) (rows int, err error) {
	for numbers := range slices.Chunk(span(0, blocksOf(h.rows())), blocksTogether) {
		blocks, err := f.storedBlocks(ctx, h.id, numbers, h.fields[fieldPlan] != "")
		if err != nil {
			return rows, err
		}
		for _, b := range blocks {
			n, err := f.block(ctx, h, b)
			if rows += n; err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// block removes rows from a block. A plan that has not been applied has to be made again.
func (f forgetting) block(ctx context.Context, h *head, b *block) (int, error) {
	n := 0
	for i, q := range b.rows {
		task := q.Request.Task
		if task == nil || !f.matches(task) {
			continue
		}
		if h.state().Applied() {
			return 0, errBusy
		}
		if n++; !f.removes {
			continue
		}
		if err := f.forgetDetails(ctx, h.id, q.number, task); err != nil {
			return 0, err
		}
		b.rows[i].Row = Row{Line: q.Line, Of: q.Of, Problems: []string{whyForgotten}}
		if q.plan != nil {
			*q.plan = decided(RowImpossible, whyForgotten)
		}
	}
	if n == 0 || !f.removes {
		return n, nil
	}
	return n, f.replace(ctx, h, b)
}

// forgetDetails removes what the ledger keeps of a row.
func (s *Service) forgetDetails(ctx context.Context, id string, number int, task tasks.Task) error {
	tenant, kind := task.Lane()
	lane, err := s.lanes.Find(ctx, tenant, kind)
	if _, unserved := errors.AsType[*tasks.UnservedError](err); unserved {
		return nil // for a week: its details are where no lane leads
	}
	if err != nil {
		return err
	}
	return s.ledger.ForgetRows(ctx, lane.Organisation, string(kind), ledger.RunName{Tenant: tenant, Run: id}, []int{number})
}

// replace stores a block whose rows were removed.
func (s *Service) replace(ctx context.Context, h *head, b *block) error {
	u := update{when: map[string]string{fieldState: string(h.state())}, set: map[string]string{}}
	if !h.state().Ended() {
		u.set[fieldDigest], u.set[fieldPlanner] = "", ""
	}
	records := make([]rowRecord, len(b.rows))
	for i, r := range b.rows {
		records[i] = r.record()
	}
	if err := put(&u, rowsKey(h.id, b.number), records); err != nil {
		return err
	}
	if b.plans != nil {
		if err := put(&u, planKey(h.id, b.number), b.plans); err != nil {
			return err
		}
	}
	return s.write(ctx, h.id, u)
}
