package night_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/night"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// TestANightThatIsInterruptedAnywhereIsContinued kills the worker at each request to Redis in
// turn, and repeats the tick: one run sends the differences, and the next night finds none
// that was forgotten.
func TestANightThatIsInterruptedAnywhereIsContinued(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 6)
	for requests := 1; ; requests++ {
		r := newRig(t, redistest.One(t), school)
		dying := r.client(t)
		hook := &dyingHook{left: requests}
		dying.AddHook(hook)
		r.at(nightOf(1))
		_, err := r.service(dying).Run(t.Context(), r.night, nightOf(1))
		if err == nil {
			if requests < 10 {
				t.Errorf("a whole night takes %d requests", requests)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("killed at request %d: %v", requests, err)
		}
		report := r.run(1)
		if report.State != night.StateSending || report.Planned != 6 {
			t.Fatalf("killed at request %d, and repeated: %+v", requests, report)
		}
		runs, err := r.runs.List(t.Context(), run.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var applied int
		for _, made := range runs {
			if !made.Applied.IsZero() {
				applied++
			}
		}
		if applied != 1 {
			t.Fatalf("killed at request %d: %d runs were applied, want one", requests, applied)
		}
		r.roll.members = without(school, "u1") // base, and members, are known or found again
		if got := r.run(2); got.State != night.StateSending || got.Planned != 5 {
			t.Fatalf("killed at request %d, the next night: %+v", requests, got)
		}
	}
}

// dyingHook lets no request pass once so many were sent.
type dyingHook struct{ left int }

var errKilled = errors.New("killed by the test")

func (*dyingHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *dyingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if d.left--; d.left < 0 {
			return errKilled
		}
		return next(ctx, cmd)
	}
}

func (d *dyingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if d.left--; d.left < 0 {
			for _, cmd := range cmds {
				cmd.SetErr(errKilled)
			}
			return errKilled
		}
		return next(ctx, cmds)
	}
}

// The keys of a schedule have a slot of their own on a Cluster, and the ACL users of
// docs/redis.md suffice.
func TestNightsWorkOnEveryTopology(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		school := class("chat1", 1, 20)
		r := newRigOn(t, d.Client, d.Options(), school)
		r.night.Absence = night.Absence{Nights: 1, Chats: []string{"chat1"}}
		r.work()
		r.whole(1)
		r.roll.members = rename(without(school, "u1"), "u2", "Ada")
		if got := r.whole(2); got.Applied != 2 || got.Removed != 1 {
			t.Errorf("the night is %+v", got)
		}
		if diff := cmp.Diff(names(r.roll.members), r.platform()); diff != "" {
			t.Errorf("names on the platform (-roster +platform):\n%s", diff)
		}
	})
}

func TestReportsAndLogsNameNoOne(t *testing.T) {
	t.Parallel()
	school := []member{{"chat1", "id-of-a-person", "Name Of A Person"}, {"chat1", "id-of-another", ""}, {"chat1", "id-of-a-third", "forbidden name"}}
	r := newRig(t, redistest.One(t), school)
	r.work()
	r.whole(1)
	r.roll.members = school[:1]
	r.night.Limits = night.Limits{Missing: 1, MissingShare: 0.1}
	r.run(2)
	history, err := r.nights.History(t.Context(), "nightly")
	if err != nil || len(history) != 2 || history[0].State != night.StateHeld {
		t.Fatalf("the history is %+v, %v", history, err)
	}
	text, err := json.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"reports": string(text), "log": r.log.String()} {
		for _, personal := range []string{"id-of-a", "Of A Person", "forbidden name"} {
			if strings.Contains(text, personal) {
				t.Errorf("the %s have %q:\n%s", where, personal, text)
			}
		}
	}
}
