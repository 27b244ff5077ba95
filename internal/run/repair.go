package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

// damagedRow is why a row is not sent whose block was repaired.
const damagedRow = "what was stored of the row was damaged in Redis"

// Repair repairs a damage that Inspect or InspectShared has returned, unless it has
// changed since. It reports whether it did. What cannot be made again is discarded: the
// rows of a block become impossible, and a run without its plan is cancelled if it was
// applied, and to be planned again if not.
func (s *Service) Repair(ctx context.Context, d ledger.Damage) (bool, error) {
	rest, ofRun := strings.CutPrefix(d.Key, "rollcall:{run:")
	id, name, _ := strings.Cut(rest, "}:")
	switch {
	case !ofRun || name == "run" && d.Entry == "" || name == "excluded":
		done, err := s.ledger.Discard(ctx, d)
		if done && err == nil && d.Entry == "" {
			err = s.relist(ctx, d.Key)
		}
		return done, err
	case name == "run":
		return s.fix(ctx, id, d)
	}
	kind, number, _ := strings.Cut(name, ":")
	b, err := strconv.Atoi(number)
	if err != nil || kind != "rows" && kind != "plan" {
		return false, fmt.Errorf("repair %s: not a key of a run", d)
	}
	return s.blank(ctx, id, d, b)
}

// Repairs reports whether a damage is one that Repair repairs.
func Repairs(d ledger.Damage) bool {
	return strings.HasPrefix(d.Key, "rollcall:{run:") || d.Key == indexKey || d.Key == appliedKey
}

// relist makes a list of runs again that was discarded, as far as the other one knows.
func (s *Service) relist(ctx context.Context, key string) error {
	switch key {
	case indexKey:
		ids, err := s.rdb.SMembers(ctx, appliedKey).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil // it is damaged, too: no list knows any run
		}
		if err != nil {
			return fmt.Errorf("list the runs that were applied again: %w", err)
		}
		heads, err := s.loadAll(ctx, ids)
		if err != nil {
			return err
		}
		for _, h := range heads {
			if err := s.list(ctx, h.id, h.created().UnixMicro()); err != nil {
				return err
			}
		}
	case appliedKey:
		runs, err := s.List(ctx, Filter{States: []State{StateCanary, StateApplying, StatePaused, StateDamaged}, N: mostListed})
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := s.rdb.SAdd(ctx, appliedKey, r.ID).Err(); err != nil {
				return fmt.Errorf("list run %s as applied again: %w", r.ID, err)
			}
		}
	}
	return nil
}

// fix repairs a field of a run.
func (s *Service) fix(ctx context.Context, id string, d ledger.Damage) (bool, error) {
	h, err := s.loadDamaged(ctx, id)
	if err == nil && h.fields == nil {
		err = h.damagedError()
	}
	if err != nil {
		return false, err
	}
	u := update{when: map[string]string{d.Entry: d.Value}, set: map[string]string{d.Entry: ""}}
	again := func() { // plan it again
		u.set[fieldDigest], u.set[fieldPlanner] = "", ""
		u.set[fieldState] = string(StateUploading)
	}
	cancel := func() {
		u.set[fieldState], u.set[fieldReason] = string(StateCancelled), "its record was damaged in Redis: field "+d.Entry
		u.set[fieldChanged], u.set[fieldEnded], u.set[fieldProgress] = micros(h.now), micros(h.now), ""
	}
	switch d.Entry {
	case fieldState: // a person decides
		u.set[fieldState] = string(StateUploading)
		if h.applied() {
			u.set[fieldState] = string(StatePaused)
		}
		u.set[fieldReason] = "its state was damaged in Redis: plan it again, resume or cancel it"
	case fieldChanged, fieldApplied, fieldEnded, fieldRenewed:
		u.set[d.Entry] = micros(h.now)
	case fieldDraft:
		u.set[d.Entry] = text(storedDraft{Created: h.time(fieldChanged).UnixMicro()})
	case fieldSettings: // the strictest
		u.set[d.Entry] = text(Settings{OtherApprover: true})
	case fieldRows:
		if n, planned := h.planned(); planned {
			u.set[fieldRows] = strconv.Itoa(n)
		} else {
			u.set[fieldRows] = "0"
			cancel()
		}
	case fieldRevisions:
		cancel()
	case fieldPlan, fieldNewest:
		switch {
		case !h.applied():
			again()
		case d.Entry == fieldPlan:
			cancel()
		}
	}
	return wrote(s.write(ctx, id, u))
}

// wrote reports whether a write was done: a field may have changed before.
func wrote(err error) (bool, error) {
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

// blank replaces a block, whose rows are impossible from now on. A plan that was not
// applied has to be made again.
func (s *Service) blank(ctx context.Context, id string, d ledger.Damage, b int) (bool, error) {
	all, err := s.Inspect(ctx, id)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(all, func(now ledger.Damage) bool { return now.Key == d.Key }) {
		return false, nil
	}
	h, err := s.load(ctx, id) // its record is repaired first
	if err != nil {
		return false, err
	}
	records, plans := make([]rowRecord, h.inBlock(b)), make([]planRecord, h.inBlock(b))
	for i := range records {
		records[i].Problems, plans[i] = []string{damagedRow}, decided(RowImpossible, damagedRow)
	}
	u := update{
		when: map[string]string{fieldState: string(h.state())},
		set:  map[string]string{fieldFeeder: ""}, // a turn that runs reads the run again
	}
	if d.Key == rowsKey(id, b) {
		if err := put(&u, d.Key, records); err != nil {
			return false, err
		}
	}
	if h.fields[fieldPlan] != "" {
		if err := put(&u, planKey(id, b), plans); err != nil {
			return false, err
		}
	}
	if !h.applied() && !h.state().Ended() {
		u.set[fieldDigest], u.set[fieldPlanner] = "", ""
	}
	var ready readiness
	h.read(fieldPrepared, &ready)
	if len(ready.Canary) > 0 { // rows that are not sent do not end
		ready.Canary = slices.DeleteFunc(ready.Canary, func(number int) bool { return (number-1)/blockRows == b })
		u.set[fieldPrepared] = text(ready)
	}
	return wrote(s.write(ctx, id, u))
}
