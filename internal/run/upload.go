package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

const (
	// MaxRows is the largest number of rows of a run.
	MaxRows = 1_000_000
	// MaxAdd is how many rows Add takes at once.
	MaxAdd = 16 * blockRows
)

func validID(id string) bool { return ledger.IsRunID(id) }

// Create makes a run without rows, in the state uploading. One whose creator died before it
// was listed expires.
func (s *Service) Create(ctx context.Context, draft Draft) (Run, error) {
	if draft.Name != "" && !tasks.ValidRun(draft.Name) {
		return Run{}, fmt.Errorf("name %.80q of a run must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -", draft.Name)
	}
	now, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return Run{}, fmt.Errorf("create a run: %w", err)
	}
	s.keep.learn(s.rdb.Get(ctx, keepKey))
	id := cmp.Or(draft.ID, ledger.NewRunID())
	h := &head{id: id, now: now, fields: map[string]string{
		fieldDraft:    text(storedDraft{Name: draft.Name, Author: clean(draft.Author), UndoOf: draft.UndoOf, File: draft.File.clean(), Created: now.UnixMicro(), Guards: draft.Guards, Judged: draft.Judged}),
		fieldSettings: text(draft.Settings), fieldState: string(StateUploading), fieldChanged: micros(now), fieldRows: "0",
	}}
	err = s.write(ctx, id, update{when: map[string]string{fieldState: ""}, set: h.fields})
	if errors.Is(err, errChanged) { // it exists
		h, err = s.load(ctx, id)
	}
	if err != nil {
		return Run{}, err
	}
	if err := s.list(ctx, id, h.created().UnixMicro()); err != nil {
		return Run{}, err
	}
	return h.view(), nil
}

// list notes a run in the index, and drops runs that are no longer kept.
func (s *Service) list(ctx context.Context, id string, us int64) error {
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, indexKey, redis.Z{Score: float64(us), Member: id})
		p.ZRemRangeByScore(ctx, indexKey, "-inf", "("+strconv.FormatInt(us-2*s.keep.now().Microseconds(), 10))
		return nil
	})
	if err != nil {
		return fmt.Errorf("list run %s: %w", id, ofKey(err, indexKey, "sorted set"))
	}
	return nil
}

// Add adds rows from a position on, which counts from 0, and returns how many rows are
// in. Rows before that number are skipped: after a failure, add the same rows again, or
// continue at Run.Rows. Give a multiple of 256 rows at once, at most 4,096.
func (s *Service) Add(ctx context.Context, id string, from int, rows []Row) (int, error) {
	if len(rows) > MaxAdd {
		return 0, fmt.Errorf("add at most %d rows at once, not %d", MaxAdd, len(rows))
	}
	if from < 0 || from+len(rows) > MaxRows {
		return 0, fmt.Errorf("run %s: a run has at most %d rows: split it", id, MaxRows)
	}
	for range tries {
		h, err := s.load(ctx, id)
		if err != nil {
			return 0, err
		}
		in := h.rows()
		fresh := rows[min(max(in-from, 0), len(rows)):]
		switch {
		case from > in:
			return in, &GapError{ID: id, From: from, In: in}
		case len(fresh) == 0:
			return in, nil // also of a run that is sealed, or applied
		case h.state() != StateUploading, h.fields[fieldSealed] != "":
			return in, &StateError{ID: id, State: h.state(), Event: "add rows to"}
		}
		err = s.append(ctx, id, in, fresh)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return in, err
		}
		return in + len(fresh), nil
	}
	return 0, &BusyError{ID: id, What: "somebody else adds rows to it"}
}

// append stores rows after the first in, and completes the last block.
func (s *Service) append(ctx context.Context, id string, in int, rows []Row) error {
	var records []rowRecord
	b := in / blockRows
	if in%blockRows != 0 {
		last := rowsKey(id, b)
		var err error
		if records, _, err = readBlock[rowRecord](last, s.rdb.Get(ctx, last)); err != nil {
			return fmt.Errorf("run %s: read the last rows: %w", id, err)
		}
	}
	for _, r := range rows {
		records = append(records, r.record())
	}
	u := update{
		when: map[string]string{fieldState: string(StateUploading), fieldSealed: "", fieldRows: strconv.Itoa(in)},
		set:  map[string]string{fieldRows: strconv.Itoa(in + len(rows))},
	}
	for block := range slices.Chunk(records, blockRows) {
		if err := put(&u, rowsKey(id, b), block); err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
		b++
	}
	return s.write(ctx, id, u)
}

// Seal ends the upload of a run that has n rows. It may be repeated.
func (s *Service) Seal(ctx context.Context, id string, n int) (Run, error) {
	return viewOf(s.change(ctx, id, func(h *head) (update, error) {
		switch {
		case h.rows() != n:
			return update{}, &CountError{ID: id, Want: n, In: h.rows()}
		case h.fields[fieldSealed] != "":
			return update{}, errUnchanged
		case h.state() != StateUploading:
			return update{}, &StateError{ID: id, State: h.state(), Event: "seal"}
		}
		return update{set: map[string]string{fieldSealed: "1"}}, nil
	}))
}
