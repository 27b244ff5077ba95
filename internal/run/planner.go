package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/google/uuid"

	"rollcall/internal/ledger"
)

// planner is one pass that plans a run.
type planner struct {
	service  *Service
	head     *head
	token    string
	settings Settings
	excluded map[int]bool

	seed   maphash.Seed
	seen   map[uint64]wanted // values that rows want, by target and field: 26 bytes each
	lines  []int32           // of the rows, from the first
	newest map[string]int64  // by organisation/API
	late   map[int]string    // conflicts of rows that are in earlier blocks
	others map[uint64]string // runs in which changes wait that were not fed yet, by target and field
	totals *totals
}

// wanted is the first row that wants a value, with a hash of the value.
type wanted struct {
	row   int32
	value uint32
}

// Plan compares every row of a sealed run with the ledger and returns the run with its
// plan. It may be repeated until the run is applied; each time may give another digest.
// progress is called with the number of rows that are done; nil: it is not.
func (s *Service) Plan(ctx context.Context, id string, progress func(done, of int)) (Run, error) {
	p := s.newPlanner()
	h, err := s.change(ctx, id, func(h *head) (update, error) {
		if _, err := h.after(eventPlan); err != nil {
			return update{}, err
		}
		if h.fields[fieldSealed] == "" {
			return update{}, &StateError{ID: id, State: h.state(), Reason: "the upload is not sealed", Event: "plan"}
		}
		// Without a digest a half planned run cannot be applied.
		return update{set: map[string]string{fieldPlanner: p.token, fieldDigest: "", fieldLeftOutOf: ""}}, nil
	})
	if err != nil {
		return Run{}, err
	}
	p.head = h
	h.read(fieldSettings, &p.settings)
	if p.excluded, err = s.excluded(ctx, id); err != nil {
		return Run{}, err
	}
	if err := p.readOthers(ctx); err != nil {
		return Run{}, err
	}
	for numbers := range slices.Chunk(span(0, blocksOf(h.rows())), blocksTogether) {
		if err := p.pass(ctx, numbers); err != nil {
			return Run{}, raced(id, err)
		}
		if progress != nil {
			progress(len(p.lines), h.rows())
		}
	}
	if err := p.settleLate(ctx); err != nil {
		return Run{}, raced(id, err)
	}
	return s.conclude(ctx, id, p.token, p.totals, p.newest)
}

func (s *Service) newPlanner() *planner {
	return &planner{
		service: s, token: uuid.NewString(), seed: maphash.MakeSeed(), seen: map[uint64]wanted{}, newest: map[string]int64{},
		late: map[int]string{}, others: map[uint64]string{}, totals: newTotals(),
	}
}

// raced turns a lost race into an error that a person understands.
func raced(id string, err error) error {
	if errors.Is(err, errChanged) {
		return &BusyError{ID: id, What: "another plan of it began, or it was applied or cancelled"}
	}
	return err
}

// pass plans some blocks and stores their plans.
func (p *planner) pass(ctx context.Context, numbers []int) error {
	blocks, err := p.service.blocks(ctx, p.head.id, numbers, false)
	if err != nil {
		return err
	}
	var rows []request
	for _, b := range blocks {
		rows = append(rows, b.rows...)
	}
	plans, records, err := p.service.compare(ctx, rows, p.settings.TrustPrevious, p.head.now)
	if err != nil {
		return err
	}
	for i, q := range rows {
		p.settle(&plans[i], q, records[i])
	}
	u := update{when: map[string]string{fieldPlanner: p.token}, blocks: map[string][]byte{}}
	for _, b := range blocks {
		b.plans, plans = plans[:len(b.rows)], plans[len(b.rows):]
		if u.blocks[planKey(p.head.id, b.number)], err = p.totals.count(b); err != nil {
			return err
		}
	}
	return p.service.write(ctx, p.head.id, u)
}

// settle applies to a row what other rows and people say, and notes why a person should look at
// it.
func (p *planner) settle(rec *planRecord, q request, known ledger.Record) {
	p.lines = append(p.lines, int32(q.Line)) //nolint:gosec // of a file of at most 512 MiB
	if rec.decision() == RowImpossible {
		return
	}
	if p.excluded[q.number] {
		rec.exclude()
		return
	}
	for _, f := range q.fields {
		if f.Mode == ledger.Edit {
			continue
		}
		p.twin(rec, q, f)
		if other := p.others[p.sum(q.target, f.Name)]; other != "" && rec.decision() == RowUnchanged && rec.Twin == 0 {
			rec.Decision, rec.Why = letters[RowChange], fmt.Sprintf(whyReplacesRun, other)
		}
	}
	if rec.Ahead == 0 {
		api := apiName(q.target.Organisation, q.target.API)
		p.newest[api] = max(p.newest[api], known.Revision)
	}
	if rec.decision().Calls() {
		for _, v := range values(q.fields, *rec) {
			rec.Look = cmp.Or(rec.Look, suspicious(v))
		}
	}
}

// sum stands for a field of a target.
func (p *planner) sum(t ledger.Target, field string) uint64 {
	return hashOf(p.seed, t.Organisation, t.API, t.Key, field)
}

// hashOf stands for some texts, none of which has a zero byte.
func hashOf(seed maphash.Seed, texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, text := range texts {
		_, _ = h.WriteString(text) // it never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// readOthers finds the changes that wait in other runs: the ledger does not know them yet.
func (p *planner) readOthers(ctx context.Context) error {
	s := p.service
	ids, err := s.rdb.SMembers(ctx, appliedKey).Result()
	if err != nil {
		return fmt.Errorf("read which runs were applied: %w", ofKey(err, appliedKey, "set"))
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == p.head.id })
	heads, err := s.loadAll(ctx, ids)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if h.state().Applied() {
			if err := p.readOther(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) readOther(ctx context.Context, h *head) error {
	for q, err := range p.service.walk(ctx, h, 0, nil) {
		if _, damaged := errors.AsType[*ledger.DamagedError](err); damaged {
			continue // its rows are not sent
		}
		if err != nil {
			return err
		}
		if !q.plan.decision().Calls() || q.number <= h.number(fieldFed+q.laneName()) {
			continue
		}
		for _, f := range q.fields {
			p.others[p.sum(q.target, f.Name)] = h.id
		}
	}
	return nil
}

// twin finds an earlier row that wants a value for the same field of the same target.
func (p *planner) twin(rec *planRecord, q request, f ledger.Field) {
	sum := p.sum(q.target, f.Name)
	value := uint32(maphash.String(p.seed, f.Value)) //nolint:gosec // a part of the hash suffices
	first, twice := p.seen[sum]
	switch {
	case !twice:
		p.seen[sum] = wanted{row: int32(q.number), value: value} //nolint:gosec // at most MaxRows
	case first.value != value:
		*rec = decided(RowConflict, fmt.Sprintf(whyTwin, p.place(first)))
		p.late[int(first.row)] = fmt.Sprintf(whyTwin, place(q.number, q.Line))
	case len(q.fields) == 1 && rec.decision() != RowConflict:
		rec.Decision, rec.Twin, rec.Why = letters[RowUnchanged], int(first.row), fmt.Sprintf(whySame, p.place(first))
	}
}

// place names a row by its number and line.
func (p *planner) place(w wanted) string { return place(int(w.row), int(p.lines[w.row-1])) }

// settleLate corrects rows that later rows contradict, and sums up again.
func (p *planner) settleLate(ctx context.Context) error {
	if len(p.late) == 0 {
		return nil
	}
	var err error
	p.totals, err = p.service.amend(ctx, p.head, p.token, func(number int, rec *planRecord) bool {
		why, conflict := p.late[number]
		if conflict {
			*rec = decided(RowConflict, why)
		}
		return conflict
	})
	return err
}

// planned returns a row with its decision.
func planned(q request, rec planRecord) Planned {
	return Planned{
		Row: q.Row, Number: q.number, Decision: rec.decision(), Values: values(q.fields, rec), Why: rec.Why, Suspicious: rec.Look,
		Undoable: undoable(q, rec),
	}
}
