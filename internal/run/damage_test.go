package run_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

const (
	index   = "rollcall:runs"
	applied = "rollcall:runs:applied"
)

// replaced gives a key another type.
func (r *rig) replaced(key string) {
	r.t.Helper()
	ctx := r.t.Context()
	kind := r.rdb.Type(ctx, key).Val()
	r.rdb.Del(ctx, key)
	err := r.rdb.Set(ctx, key, "written by another program", 0).Err()
	if kind == "string" {
		r.rdb.Del(ctx, key)
		err = r.rdb.HSet(ctx, key, "written", "by another program").Err()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// damages returns all that is damaged in the keys of a run, and in those that runs share.
func (r *rig) damages(id string) []ledger.Damage {
	r.t.Helper()
	shared, err := r.service.InspectShared(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	own, err := r.service.Inspect(r.t.Context(), id)
	if _, deleted := errors.AsType[*run.NotFoundError](err); err != nil && !deleted {
		r.t.Fatal(err)
	}
	return append(shared, own...)
}

// repair repairs all, and checks that nothing is damaged then.
func (r *rig) repair(id, key string) {
	r.t.Helper()
	found := r.damages(id)
	if !of(found, key) {
		r.t.Fatalf("%s is not found: %v", key, found)
	}
	for _, d := range found {
		if _, err := r.service.Repair(r.t.Context(), d); err != nil {
			r.t.Errorf("%s: %v", d, err)
		}
	}
	if found := r.damages(id); len(found) != 0 {
		r.t.Errorf("after the repair: %v", found)
	}
}

func of(found []ledger.Damage, key string) bool {
	for _, d := range found {
		if d.Key == key {
			return true
		}
	}
	return false
}

// spoilt is one way to damage a key of a run, and what becomes of the run.
type spoilt struct {
	key   string // after "rollcall:{run:<id>}:", or of asynq
	field string // of the hash; "": the key gets another type
	value string // "": the key or the field is removed
	holds bool   // no turn of the run succeeds
	state run.State
	left  run.Decision // of the rows
}

func (c spoilt) spoil(r *rig, id string) (key string) {
	r.t.Helper()
	key = "rollcall:{run:" + id + "}:" + c.key
	if strings.HasPrefix(c.key, "asynq:") {
		key = c.key + id
	}
	ctx := r.t.Context()
	var err error
	switch {
	case c.field == "" && c.value == "":
		r.replaced(key)
	case c.field == "" && c.value == "deleted":
		err = r.rdb.Del(ctx, key).Err()
	case c.field == "" && c.value == "cut":
		held := r.rdb.Get(ctx, key).Val()
		err = r.rdb.Set(ctx, key, held[:len(held)/2], 0).Err()
	case c.value == "cut":
		held := r.rdb.HGet(ctx, key, c.field).Val()
		err = r.rdb.HSet(ctx, key, c.field, held[:len(held)/2]).Err()
	default:
		err = r.rdb.HSet(ctx, key, c.field, c.value).Err()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

func TestADamagedKeyOfARunHoldsThatRunAloneUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	year := strconv.FormatInt(time.Now().AddDate(1, 0, 0).UnixMicro(), 10)
	for what, c := range map[string]spoilt{
		"the hash":               {key: "run", holds: true, state: "deleted"},
		"its state is cut":       {key: "run", field: "state", value: "cut", holds: true, state: run.StatePaused},
		"its plan is cut":        {key: "run", field: "plan", value: "cut", holds: true, state: run.StateCancelled},
		"its revisions are cut":  {key: "run", field: "revisions", value: "cut", holds: true, state: run.StateCancelled},
		"its settings are cut":   {key: "run", field: "settings", value: "cut", holds: true, state: run.StateCanary},
		"its draft is cut":       {key: "run", field: "draft", value: "cut", holds: true, state: run.StateCanary},
		"its rows are inf":       {key: "run", field: "rows", value: "inf", holds: true, state: run.StateCanary},
		"its rows are 2^53":      {key: "run", field: "rows", value: "9007199254740992", holds: true, state: run.StateCanary},
		"its rows are fewer":     {key: "run", field: "rows", value: "2", holds: true, state: run.StateCanary},
		"how far it was fed":     {key: "run", field: "fed:" + tenant + ".nickname", value: "1e300", holds: true, state: run.StateCanary},
		"its time is no number":  {key: "run", field: "changed", value: "inf", holds: true, state: run.StateCanary},
		"its time is a year off": {key: "run", field: "changed", value: year, state: run.StateCanary},
		"a block of rows":        {key: "rows:0", holds: true, state: run.StateCanary, left: run.RowImpossible},
		"a block of rows is cut": {key: "rows:0", value: "cut", holds: true, state: run.StateCanary, left: run.RowImpossible},
		"a block of the plan":    {key: "plan:0", holds: true, state: run.StateCanary, left: run.RowImpossible},
		"a missing block":        {key: "plan:0", value: "deleted", holds: true, state: run.StateCanary, left: run.RowImpossible},
		"its task in asynq":      {key: "asynq:{rollcall.runs}:t:", state: run.StateCanary},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				r := newRig(t, s, 6)
				f := r.feeder()
				bad := r.apply(free(), nicknames("A", "B", "C"))
				good := r.apply(free(), []run.Row{nickname(4, "D"), nickname(5, "E"), nickname(6, "F")})
				if found := r.damages(bad.ID); len(found) != 0 {
					t.Fatalf("before: %v", found)
				}
				key := c.spoil(r, bad.ID)
				if _, _, err := f.Turn(t.Context(), bad.ID); c.holds != (err != nil) {
					t.Errorf("a turn: %v, want an error: %t", err, c.holds)
				} else if _, damaged := errors.AsType[*ledger.DamagedError](err); c.holds && (!damaged || !strings.Contains(err.Error(), key)) {
					t.Errorf("a turn does not name %s: %v", key, err)
				}
				r.others(f, good.ID)
				if err := f.ReviveAt(t.Context(), time.Now()); err != nil {
					t.Errorf("revive: %v", err)
				}
				if c.left == "" && len(r.log.Lines(key)) == 0 { // a block is named by a turn
					t.Errorf("the log does not name %s:\n%s", key, r.log)
				}
				r.repair(bad.ID, key)
				r.is(bad.ID, c)
			})
		})
	}
}

// others checks that another run goes on, and that runs can be listed and planned.
func (r *rig) others(f *run.Feeder, id string) {
	r.t.Helper()
	r.turn(f, id)
	if got := r.must(r.service.Get(r.t.Context(), id)); got.Fed != 3 {
		r.t.Errorf("%d rows of the other run are fed", got.Fed)
	}
	all, err := r.service.List(r.t.Context(), run.Filter{})
	if err != nil || len(all) != 2 {
		r.t.Errorf("%d runs are listed, %v", len(all), err)
	}
	r.plan(free(), nicknames("X"))
}

// is checks what became of a run that was repaired.
func (r *rig) is(id string, c spoilt) {
	r.t.Helper()
	got, err := r.service.Get(r.t.Context(), id)
	if c.state == "deleted" {
		if _, deleted := errors.AsType[*run.NotFoundError](err); !deleted {
			r.t.Errorf("the run is there: %v", err)
		}
		return
	}
	if err != nil || got.State != c.state {
		r.t.Fatalf("the run is %s, %v; want %s", got.State, err, c.state)
	}
	if got.State == run.StatePaused {
		r.must(r.service.Resume(r.t.Context(), id, "ann"))
	}
	if got.State == run.StateCancelled {
		return
	}
	f := r.feeder()
	r.turn(f, id)
	for i, d := range r.decisions(id) {
		if c.left != "" && d != c.left || c.left == "" && !d.Calls() {
			r.t.Errorf("row %d is %s", i+1, d)
		}
	}
	if fed := r.must(r.service.Get(r.t.Context(), id)).Fed; (fed == 3) != (c.left == "") {
		r.t.Errorf("%d rows are fed", fed)
	}
}

func TestARunWhosePlanIsDamagedBeforeItIsAppliedIsPlannedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []spoilt{
		{key: "run", field: "plan", value: "cut"},
		{key: "run", field: "newest", value: "cut"},
		{key: "run", field: "state", value: "cut"},
		{key: "plan:0"},
		{key: "rows:0", value: "cut", left: run.RowImpossible},
		{key: "excluded"},
	} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			r := newRig(t, s, 3)
			made := r.plan(free(), nicknames("A", "B", "C"))
			made = r.must(r.service.Exclude(t.Context(), made.ID, made.Plan.Digest, []int{3}))
			r.repair(made.ID, c.spoil(r, made.ID))
			if c.key != "excluded" {
				if _, err := r.service.Apply(t.Context(), made.ID, made.Plan.Digest, "ann"); err == nil {
					t.Errorf("%s %s: the damaged plan is applied", c.key, c.field)
				}
			}
			r.must(r.service.Plan(t.Context(), made.ID, nil))
			for i, d := range r.decisions(made.ID)[:2] {
				if c.left != "" && d != c.left || c.left == "" && !d.Calls() {
					t.Errorf("%s %s: row %d is %s", c.key, c.field, i+1, d)
				}
			}
		})
	}
}

func TestAListOfRunsThatIsDamagedIsNamedAndMadeAgain(t *testing.T) {
	t.Parallel()
	for _, key := range []string{index, applied} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			r := newRig(t, s, 3)
			made := r.apply(free(), nicknames("A", "B", "C"))
			r.replaced(key)
			f := r.feeder()
			_ = f.ReviveAt(t.Context(), time.Now())
			if len(r.log.Lines(key+" ")) == 0 {
				t.Errorf("the log does not name %s:\n%s", key, r.log)
			}
			if key == index {
				if _, err := r.service.Create(t.Context(), run.Draft{}); err == nil || !strings.Contains(err.Error(), key) {
					t.Errorf("a new run: %v", err)
				}
			}
			r.turn(f, made.ID)
			r.repair(made.ID, key)
			if all, err := r.service.List(t.Context(), run.Filter{}); err != nil || len(all) != 1 || all[0].ID != made.ID {
				t.Errorf("listed: %v, %v", all, err)
			}
			if !r.rdb.SIsMember(t.Context(), applied, made.ID).Val() {
				t.Error("the run is not among those that were applied")
			}
		})
	}
}

func TestEntriesOfTheListsThatAreNoRunsAreFoundAndRemoved(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 1)
		made := r.apply(free(), nicknames("A"))
		for _, z := range []redis.Z{{Score: 1e300, Member: made.ID}, {Score: 5, Member: made.ID[:7]}} {
			if err := r.rdb.ZAdd(t.Context(), index, z).Err(); err != nil {
				t.Fatal(err)
			}
		}
		r.rdb.SAdd(t.Context(), applied, "x")
		r.repair(made.ID, applied)
		if ids := r.rdb.ZRange(t.Context(), index, 0, -1).Val(); len(ids) != 1 || ids[0] != made.ID {
			t.Errorf("listed: %v", ids)
		}
		if all, err := r.service.List(t.Context(), run.Filter{}); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
}

// The list of pending runs was discarded because it was damaged.
func TestATaskOfARunThatNoListHoldsIsPendingAgainAfterTenSeconds(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 1)
		made := r.apply(free(), nicknames("A"))
		pending := backlog.Key(run.Queue, "pending")
		r.replaced(pending)
		r.repair(made.ID, pending)
		f, now := r.feeder(), time.Now()
		for _, after := range []time.Duration{0, 9 * time.Second, 11 * time.Second} {
			if ids := r.rdb.LRange(t.Context(), pending, 0, -1).Val(); len(ids) != 0 {
				t.Errorf("before %s: %v", after, ids)
			}
			if err := f.ReviveAt(t.Context(), now.Add(after)); err != nil {
				t.Fatal(err)
			}
		}
		if ids := r.rdb.LRange(t.Context(), pending, 0, -1).Val(); len(ids) != 1 || ids[0] != made.ID {
			t.Errorf("pending: %v", ids)
		}
	})
}

// What cannot be read must neither be sent nor end: a repair decides.
func TestRowsOfARunWhoseStateIsDamagedWait(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 2)
		made, other := r.apply(free(), nicknames("A")), r.apply(free(), []run.Row{nickname(2, "B")})
		for _, c := range []spoilt{{key: "run", field: "state", value: "cut"}, {key: "run"}} {
			c.spoil(r, made.ID)
			w := r.watcher()
			for id, want := range map[string]bool{made.ID: false, other.ID: true} {
				w.Await(t.Context(), id)
				if now, ended := w.Sends(id); now != want || ended {
					t.Errorf("%s %s: sends %t, ended %t", c.key, c.field, now, ended)
				}
			}
		}
	})
}

// Keys with results that have another type look empty: their rows must not be sent again.
func TestARunWhoseResultsAreDamagedWaits(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 1)
		made := r.apply(free(), nicknames("A"))
		f := r.feeder()
		for range 2 {
			r.turn(f, made.ID)
		}
		key := "rollcall:{lakeside/nickname}:run:" + tenant + "/" + made.ID
		r.replaced(key)
		var err error
		for range 3 {
			_, _, err = f.Turn(t.Context(), made.ID)
		}
		if _, damaged := errors.AsType[*ledger.DamagedError](err); !damaged || !strings.Contains(err.Error(), key) {
			t.Errorf("a turn: %v", err)
		}
	})
}
