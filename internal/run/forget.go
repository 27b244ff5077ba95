package run

import (
	"context"
	"errors"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// Forgotten is what Forget did.
type Forgotten struct {
	Runs, Rows int
	// Busy are the ids of runs that have such rows and have not ended: they were left
	// alone. Cancel them or let them end, then forget again.
	Busy []string
}

// forgotten is what a row holds of which everything was removed.
const forgotten = "what was recorded about it was removed"

// forget removes rows from all runs.
func (s *Service) forget(ctx context.Context, matches func(tasks.Task) bool) (Forgotten, error) {
	var all Forgotten
	var damaged []error // they are forgotten after their repair
	for from := 0; ; from += listPage {
		ids, err := s.newest(ctx, "+inf", from)
		if err != nil || len(ids) == 0 {
			return all, errors.Join(append(damaged, err)...)
		}
		heads, err := s.loadAll(ctx, ids)
		if err != nil {
			return all, err
		}
		for _, h := range heads {
			if h == nil {
				continue
			}
			if err := h.damagedError(); err != nil {
				damaged = append(damaged, err)
				continue
			}
			rows, err := s.forgetRows(ctx, h, matches)
			if _, is := errors.AsType[*ledger.DamagedError](err); is {
				damaged = append(damaged, err)
				continue
			}
			if errors.Is(err, errBusy) {
				all.Busy = append(all.Busy, h.id)
				continue
			}
			if err != nil {
				return all, raced(err)
			}
			if all.Rows += rows; rows > 0 {
				all.Runs++
			}
		}
	}
}

var errBusy = errors.New("the run has not ended")

// forgetRows removes rows from one run.
func (s *Service) forgetRows(ctx context.Context, h *head, matches func(tasks.Task) bool) (rows int, err error) {
	blocks := blocksOf(h.rows())
	for from := 0; from < blocks; from += blocksTogether {
		some, err := s.blocks(ctx, h.id, from, min(from+blocksTogether, blocks), h.fields[fieldPlan] != "")
		if err != nil {
			return rows, err
		}
		for _, b := range some {
			n, err := s.forgetBlock(ctx, h, b, matches)
			if rows += n; err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// forgetBlock removes rows from a block. A plan that has not been applied has to be made
// again.
func (s *Service) forgetBlock(ctx context.Context, h *head, b *block, matches func(tasks.Task) bool) (int, error) {
	n := 0
	for i, r := range b.rows {
		task := r.Request.Task
		if task == nil || !matches(task) {
			continue
		}
		if h.state().Applied() {
			return 0, errBusy
		}
		if err := s.forgetDetails(ctx, h.id, b.first()+i, task); err != nil {
			return 0, err
		}
		n++
		b.rows[i] = Row{Line: r.Line, Of: r.Of, Problems: []string{forgotten}}
		if b.plans != nil {
			b.plans[i] = decided(RowImpossible, forgotten)
		}
	}
	if n == 0 {
		return 0, nil
	}
	return n, s.replace(ctx, h, b)
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
	u := update{when: map[string]string{fieldState: string(h.state())}, set: map[string]string{}, blocks: map[string][]byte{}}
	if !h.state().Ended() {
		u.set[fieldDigest], u.set[fieldPlanner] = "", ""
	}
	records := make([]rowRecord, len(b.rows))
	for i, r := range b.rows {
		records[i] = r.record()
	}
	var err error
	if u.blocks[rowsKey(h.id, b.number)], _, err = pack(records); err != nil {
		return err
	}
	if b.plans != nil {
		if u.blocks[planKey(h.id, b.number)], _, err = pack(b.plans); err != nil {
			return err
		}
	}
	return s.write(ctx, h.id, u)
}
