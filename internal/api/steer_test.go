package api_test

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

const idRow = `{"kind":"id","tenant":"lakeside-dt","user_id":"u1","dingtalk_id":"wangfang"}` + "\n"

func TestAGuardHoldsARunUntilAnotherTokenApproves(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var did []string
	r := newRig(t, redistest.One(t), options{record: func(_ context.Context, c access.Change) {
		mu.Lock()
		defer mu.Unlock()
		did = append(did, c.Token+" "+path.Base(c.Path))
	}})
	made := as[wire.Run](t, r.want(r.upload(producer, "/v1/runs?canary=0&other_approver=true", idRow), http.StatusCreated))
	at := "/v1/runs/" + made.ID
	plan := r.plan(producer, made.ID)
	if len(plan.Run.Plan.Guards) != 1 || plan.Run.Plan.Guards[0].Allow != "allow-id-changes" {
		t.Fatalf("%+v", plan.Run.Plan)
	}
	digest := fmt.Sprintf(`{"digest":%q}`, plan.Run.Plan.Digest)
	r.problem(r.post(producer, at+"/apply", `{"digest":"00000000"}`), "plan-changed")
	held := as[wire.Run](t, r.want(r.post(producer, at+"/apply", digest), http.StatusOK))
	if held.State != run.StateHeld || held.Reason == "" {
		t.Fatalf("%+v", held)
	}
	applied := as[wire.Run](t, r.want(r.post(all, at+"/approve", digest), http.StatusOK))
	if applied.State != run.StateCanary || applied.By != "token:all" {
		t.Errorf("%+v", applied)
	}
	paused := as[wire.Run](t, r.want(r.post(operator, at+"/pause", `{"reason":"wrong class"}`), http.StatusOK))
	if paused.State != run.StatePaused || paused.Reason != "wrong class" || paused.By != "token:operator" {
		t.Errorf("%+v", paused)
	}
	r.problem(r.post(all, at+"/reject", ""), "wrong-state")
	r.want(r.post(operator, at+"/resume", ""), http.StatusOK)
	cancelled := as[wire.Run](t, r.want(r.post(producer, at+"/cancel", ""), http.StatusOK))
	if cancelled.State != run.StateCancelled {
		t.Errorf("%+v", cancelled)
	}
	undo := as[wire.Run](t, r.want(r.post(producer, at+"/undo", ""), http.StatusCreated))
	if undo.UndoOf != made.ID || undo.Rows != 0 {
		t.Errorf("%+v", undo)
	}
	r.plan(producer, undo.ID)
	mu.Lock()
	defer mu.Unlock()
	want := []string{"producer runs", "producer apply", "all approve", "operator pause", "operator resume", "producer cancel", "producer undo"}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Error(diff)
	}
}

func TestTheAuthorDoesNotApproveWhereAnotherMust(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	made := as[wire.Run](t, r.want(r.upload(all, "/v1/runs?other_approver=true", idRow), http.StatusCreated))
	digest := fmt.Sprintf(`{"digest":%q}`, r.plan(all, made.ID).Run.Plan.Digest)
	r.want(r.post(all, "/v1/runs/"+made.ID+"/apply", digest), http.StatusOK)
	r.problem(r.post(all, "/v1/runs/"+made.ID+"/approve", digest), "other-approver")
	rejected := as[wire.Run](t, r.want(r.post(all, "/v1/runs/"+made.ID+"/reject", `{"reason":"not this year"}`), http.StatusOK))
	if rejected.State != run.StateRejected || rejected.Reason != "not this year" {
		t.Errorf("%+v", rejected)
	}
}

func TestRowsAreLeftOutAndARunIsPlannedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	made := r.planned(producer, nicknames(1, 3))
	path := "/v1/runs/" + made.ID
	out := as[wire.Run](t, r.want(r.post(producer, path+"/exclude", fmt.Sprintf(`{"digest":%q,"rows":[2]}`, made.Plan.Digest)), http.StatusOK))
	if out.Plan.Counts[run.RowExcluded] != 1 || out.Plan.Digest == made.Plan.Digest {
		t.Errorf("%+v", out.Plan)
	}
	r.problem(r.post(producer, path+"/exclude", fmt.Sprintf(`{"digest":%q,"rows":[2,4]}`, out.Plan.Digest)), "invalid-request")
	only := as[wire.PlanPage](t, r.want(r.get(producer, path+"/plan?decision=excluded,conflict"), http.StatusOK))
	if len(only.Rows) != 1 || only.Rows[0].Row != 2 {
		t.Errorf("%+v", only.Rows)
	}
	page := as[wire.PlanPage](t, r.want(r.get(producer, path+"/plan?limit=2"), http.StatusOK))
	rest := as[wire.PlanPage](t, r.want(r.get(producer, fmt.Sprintf("%s/plan?limit=2&after=%d", path, page.Next)), http.StatusOK))
	if len(page.Rows) != 2 || len(rest.Rows) != 1 || rest.Rows[0].Row != 3 || rest.Next != 0 {
		t.Errorf("%+v\n%+v", page, rest)
	}
	again := as[wire.PlanPage](t, r.want(r.post(producer, path+"/plan?wait=50", ""), http.StatusOK))
	if again.Run.Plan.Counts[run.RowExcluded] != 1 {
		t.Errorf("%+v", again.Run.Plan)
	}
}

func TestAWaitingQueryEndsWithTheStateOrWithItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{limits: api.Limits{Waiting: 1, PerSecond: 1e9}})
	made := r.planned(producer, nicknames(1, 1))
	path := "/v1/runs/" + made.ID
	if still := as[wire.Run](t, r.want(r.get(producer, path+"?while=planned&wait=1"), http.StatusOK)); still.State != run.StatePlanned {
		t.Errorf("%+v", still)
	}
	answered := make(chan wire.Run)
	go func() {
		for {
			a, err := r.try(t.Context(), call{method: http.MethodGet, path: path + "?while=planned&wait=50", token: producer})
			if err == nil && a.StatusCode == http.StatusOK {
				answered <- as[wire.Run](t, a)
				return
			}
			<-time.After(10 * time.Millisecond) // the place is taken
		}
	}()
	for refused, deadline := false, time.Now().Add(patience); !refused; {
		if time.Now().After(deadline) {
			t.Fatal("no second waiting request was refused")
		}
		<-time.After(20 * time.Millisecond)
		refused = r.get(producer, path+"?while=planned&wait=1").StatusCode == http.StatusTooManyRequests
	}
	r.want(r.post(producer, path+"/cancel", ""), http.StatusOK)
	if got := <-answered; got.State != run.StateCancelled {
		t.Errorf("%+v", got)
	}
}

func TestRunsAreListedByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	for i := range 5 {
		r.want(r.post([]string{producer, all}[i%2], fmt.Sprintf("/v1/runs?name=n%d", i), ""), http.StatusCreated)
	}
	names := func(page wire.RunPage) string {
		var b strings.Builder
		for _, r := range page.Runs {
			b.WriteString(r.Name)
		}
		return b.String()
	}
	first := as[wire.RunPage](t, r.want(r.get(all, "/v1/runs?limit=3"), http.StatusOK))
	second := as[wire.RunPage](t, r.want(r.get(all, "/v1/runs?limit=3&before="+first.Next.Format(time.RFC3339Nano)), http.StatusOK))
	if names(first) != "n4n3n2" || names(second) != "n1n0" || !second.Next.IsZero() {
		t.Errorf("%s, %s", names(first), names(second))
	}
	if own := as[wire.RunPage](t, r.get(producer, "/v1/runs")); names(own) != "n4n2n0" {
		t.Errorf("own runs: %s", names(own))
	}
	if found := as[wire.RunPage](t, r.get(all, "/v1/runs?name=n3&state=uploading,planned")); names(found) != "n3" {
		t.Errorf("by name: %s", names(found))
	}
	if none := as[wire.RunPage](t, r.get(all, "/v1/runs?state=done")); len(none.Runs) != 0 {
		t.Errorf("%+v", none)
	}
}
