package run_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func TestARunKeepsTheStatesThatItWasIn(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 1)
		ctx := t.Context()
		p := r.plan(run.Draft{Author: "ann", File: run.File{Name: "names.csv", Encoding: "GB18030"}}, nicknames("????"))
		r.must(r.service.Plan(ctx, p.ID, nil)) // to plan it again is no step
		r.must(r.service.Apply(ctx, p.ID, p.Plan.Digest, "ann"))
		r.must(r.service.Approve(ctx, p.ID, p.Plan.Digest, "bob"))
		r.must(r.service.Pause(ctx, p.ID, "eve", "wrong list?"))
		got := r.must(r.service.Cancel(ctx, p.ID, "eve", "wrong list"))
		var steps []string
		before := got.Created
		for _, step := range got.History {
			steps = append(steps, strings.TrimSpace(string(step.State)+" "+step.By+" "+step.Reason))
			if step.At.Before(before.Truncate(time.Microsecond)) {
				t.Errorf("%s at %s, after %s", step.State, step.At, before)
			}
			before = step.At
		}
		want := []string{"uploading", "planned", "held ann new values that look damaged: 1 (--allow-suspicious)", "canary bob", "paused eve wrong list?"}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if got.State != run.StateCancelled || got.Reason != "wrong list" || got.File != (run.File{Name: "names.csv", Encoding: "GB18030"}) {
			t.Errorf("%+v", got)
		}
		for range 2 {
			if _, err := r.service.Cancel(ctx, p.ID, "eve", "again"); err != nil {
				t.Fatal(err)
			}
		}
		if again := r.must(r.service.Get(ctx, p.ID)); len(again.History) != len(want) {
			t.Errorf("a step that was repeated is in the history: %v", again.History)
		}
	})
}

func TestTheHistoryOfARunIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 1)
	p := r.plan(free(), nicknames("A"))
	r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
	for range 60 {
		r.must(r.service.Pause(t.Context(), p.ID, "ann", ""))
		r.must(r.service.Resume(t.Context(), p.ID, "ann"))
	}
	got := r.must(r.service.Get(t.Context(), p.ID)).History
	if len(got) != 50 || got[0].State != run.StateUploading || got[49].State != run.StatePaused {
		t.Errorf("%d steps, %v to %v", len(got), got[0], got[len(got)-1])
	}
}

// commands counts the commands of a client.
type commands struct {
	mu    sync.Mutex
	names []string
}

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) note(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		if name := cmd.Name(); name != "hello" && name != "client" { // of a new connection
			c.names = append(c.names, name)
		}
	}
}

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.note(cmd)
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.note(cmds...)
		return next(ctx, cmds)
	}
}

func TestFailedRowsAreFoundWithoutReadingTheOthers(t *testing.T) {
	t.Parallel()
	const rows = 3000 // in 12 blocks
	r := newRig(t, redistest.One(t), 1)
	names := make([]string, rows)
	for i := range names {
		names[i] = "n"
	}
	p := r.plan(free(), nicknames(names...))
	r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
	wantFailed := []int{1, 300, 301, 2999}
	for _, number := range wantFailed {
		r.setResult(p.ID, number, ledger.RowDead)
	}
	counted := r.client(t)
	c := &commands{}
	counted.AddHook(c)
	service := run.New(run.Config{Redis: counted, Ledger: ledger.New(counted)})
	var got []int
	for row, err := range service.ResultsAfter(t.Context(), p.ID, 0, run.OutcomeFailed) {
		if err != nil || row.Outcome != run.OutcomeFailed {
			t.Fatal(row.Outcome, err)
		}
		got = append(got, row.Number)
	}
	if diff := cmp.Diff(wantFailed, got); diff != "" {
		t.Errorf("failed rows (-want +got):\n%s", diff)
	}
	blocks := 0
	for _, name := range c.names {
		if name == "mget" {
			blocks++
		}
	}
	if len(c.names) > 15 || blocks != 3 { // the results of the lane, 1 block, 2 blocks
		t.Errorf("%d commands: %v", len(c.names), c.names)
	}
	for _, o := range []run.Outcome{run.OutcomeWaiting, run.OutcomeConflict} {
		n := 0
		for row, err := range service.ResultsAfter(t.Context(), p.ID, 0, o) {
			if err != nil || row.Outcome != o {
				t.Fatal(row.Outcome, err)
			}
			n++
		}
		if want := map[run.Outcome]int{run.OutcomeWaiting: rows - len(wantFailed)}[o]; n != want {
			t.Errorf("%d rows are %s, want %d", n, o, want)
		}
	}
}

func TestAPageOfRowsCostsLittle(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 1)
	names := make([]string, 10_000)
	for i := range names {
		names[i] = "n"
	}
	p := r.plan(free(), nicknames(names...))
	counted := r.client(t)
	c := &commands{}
	counted.AddHook(c)
	service := run.New(run.Config{Redis: counted, Ledger: ledger.New(counted)})
	n := 0
	for _, err := range service.RowsAfter(t.Context(), p.ID, 5000) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 30 {
			break
		}
	}
	if len(c.names) > 6 {
		t.Errorf("%d commands: %v", len(c.names), c.names)
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 1)
	for i := range 9 {
		name := "even"
		if i%2 == 1 {
			name = "odd"
		}
		r.upload(run.Draft{Name: name}, nil)
	}
	for _, f := range []run.Filter{{N: 3}, {N: 3, Name: "odd"}, {N: 9}, {N: 20}, {Name: "none"}} {
		for _, most := range []int{1, 2, 4, 9, 100} {
			all, err := r.service.List(t.Context(), run.Filter{Name: f.Name, N: 100})
			if err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, made := range all {
				want = append(want, made.ID)
			}
			at := f
			for pages := 0; ; pages++ {
				page, next, err := r.service.Page(t.Context(), at, most)
				if err != nil || pages > 20 {
					t.Fatal(pages, err)
				}
				for _, made := range page {
					got = append(got, made.ID)
				}
				if next.IsZero() {
					break
				}
				at.Before = next
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v, %d at a time: %v, want %v", f, most, got, want)
			}
		}
	}
}

// setResult sets the result of a row, as a worker would.
func (r *rig) setResult(id string, number int, code byte) {
	r.t.Helper()
	keys := ledger.RunKeys(organisation, string(tasks.KindNickname), ledger.RunName{Tenant: tenant, Run: id}, number)
	if len(keys) != 1 {
		r.t.Fatalf("row %d is not in the first key", number)
	}
	if err := r.rdb.SetRange(r.t.Context(), keys[0].Key, int64(number), string([]byte{code})).Err(); err != nil {
		r.t.Fatal(err)
	}
}
