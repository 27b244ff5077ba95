package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// What our own commands need besides what services use. Every answer is held against the
// document.
func TestTheCommandsFindAllThatTheyShow(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	who := as[wire.Token](t, r.want(r.get(producer, "/v1/token"), http.StatusOK))
	if who.Name != "producer" || len(who.Scopes) != 1 || len(who.Tenants) != 1 || who.API == "" {
		t.Errorf("%+v", who)
	}
	for token, want := range map[string]int{all: 6, producer: 3, reader: 3} {
		if served := as[wire.Served](t, r.want(r.get(token, "/v1/served"), http.StatusOK)); len(served.Served) != want {
			t.Errorf("%d lanes of %d", len(served.Served), want)
		}
	}
	for token, want := range map[string]int{all: 6, reader: 3} {
		if s := as[wire.Survey](t, r.want(r.get(token, "/v1/survey"), http.StatusOK)); len(s.Lanes) != want {
			t.Errorf("%d lanes of %d", len(s.Lanes), want)
		}
	}
	r.problem(r.get(producer, "/v1/survey"), "scope-missing")

	// Rows with the lines and problems that their sender found.
	made := as[wire.Run](t, r.want(r.post(all, "/v1/runs?name=spring&canary_chats=true", ""), http.StatusCreated))
	if !made.Settings.CanaryChats || made.Settings.Canary != 0 {
		t.Errorf("%+v", made.Settings)
	}
	row := strings.TrimSuffix(nicknames(1, 1), "}\n")
	body := row + `,"line":7}` + "\n" + strings.ReplaceAll(row, "u1", "") + `,"line":"9","problems":"column user_id: is missing\nand more"}` + "\n"
	r.want(r.do(call{method: http.MethodPost, path: "/v1/runs/" + made.ID + "/rows?from=0&annotated=true&invalid=keep", token: all, kind: "application/x-ndjson", body: body, odd: true}), http.StatusOK)
	r.want(r.post(all, "/v1/runs/"+made.ID+"/seal", `{"rows":2}`), http.StatusOK)
	r.plan(all, made.ID)
	page := as[wire.PlanPage](t, r.want(r.get(all, "/v1/runs/"+made.ID+"/plan?columns=true"), http.StatusOK))
	if rows := page.Rows; len(rows) != 2 || rows[0].Line != 7 || rows[0].Columns["user_id"] != "u1" || rows[1].Line != 9 ||
		rows[1].Decision != run.RowImpossible || len(rows[1].Problems) != 2 || rows[1].Problems[0] != "column user_id: is missing" {
		t.Errorf("%+v", rows)
	}
	masked := as[wire.PlanPage](t, r.want(r.get(operator, "/v1/runs/"+made.ID+"/plan?columns=true"), http.StatusOK))
	if text := fmt.Sprint(masked.Rows[0].Columns); strings.Contains(text, "王芳") || strings.Contains(text, "u1") || strings.Contains(text, "k1") {
		t.Errorf("not masked: %s", text)
	}
	results := as[wire.ResultPage](t, r.want(r.get(all, "/v1/runs/"+made.ID+"/results?columns=true"), http.StatusOK))
	if results.Rows[0].Columns["nickname"] != "王芳1" || results.Rows[1].Decision != run.RowImpossible {
		t.Errorf("%+v", results.Rows)
	}

	// A run by a word.
	for word, want := range map[string]int{"spring": 1, made.ID[:8]: 1, made.ID: 1, "nothing": 0} {
		if list := as[wire.RunPage](t, r.want(r.get(all, "/v1/runs?word="+word), http.StatusOK)); len(list.Runs) != want {
			t.Errorf("%s: %+v", word, list.Runs)
		}
	}
	if list := as[wire.RunPage](t, r.want(r.get(stranger, "/v1/runs?word=spring"), http.StatusOK)); len(list.Runs) != 0 {
		t.Errorf("another tenant: %+v", list.Runs)
	}

	// Guards, and undo.
	r.problem(r.post(operator, "/v1/runs/"+made.ID+"/allow", `{"allow":["prune"]}`), "scope-missing")
	if a := as[wire.Run](t, r.want(r.post(all, "/v1/runs/"+made.ID+"/allow", `{"allow":["prune"]}`), http.StatusOK)); len(a.Settings.Allowed) != 1 {
		t.Errorf("%+v", a.Settings)
	}
	r.problem(r.get(all, "/v1/runs/"+made.ID+"/undo"), "wrong-state")
	r.problem(r.get(all, "/v1/runs/"+made.ID+"/restored"), "wrong-state")
	r.problem(r.get(stranger, "/v1/runs/"+made.ID+"/undo"), "not-found")

	// Tasks that were enqueued directly.
	if d := as[wire.Directs](t, r.want(r.get(all, "/v1/direct"), http.StatusOK)); len(d.Direct) != 0 {
		t.Errorf("%+v", d)
	}
	r.want(r.get(reader, "/v1/direct/night-1?tenant="+other), http.StatusOK)
}

func TestADeadLetterAndATargetAreExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	r.want(r.post(all, "/v1/tasks", `{"tenant":"`+tenant+`","chat_id":"chat1","user_id":"employee7","nickname":"王芳"}`), http.StatusCreated)
	_, err := ledger.New(r.rdb).AddDeadLetter(t.Context(), ledger.DeadLetter{
		ID: "d1", Lane: tenant + ".nickname", Tenant: tenant, Kind: "nickname", Organisation: organisation, Target: "chat1/employee7",
		Class: "rejected", Code: "60124", Message: "employee7 is not there", First: time.Now(), Last: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := as[wire.Causes](t, r.want(r.get(reader, "/v1/dead-letters/causes"), http.StatusOK)); len(c.Causes) != 1 || c.Causes[0].DeadLetters != 1 {
		t.Errorf("%+v", c)
	}
	if c := as[wire.Causes](t, r.want(r.get(stranger, "/v1/dead-letters/causes"), http.StatusOK)); len(c.Causes) != 0 {
		t.Errorf("another tenant: %+v", c)
	}
	r.problem(r.get(producer, "/v1/dead-letters/causes"), "scope-missing")
	r.problem(r.get(stranger, "/v1/dead-letters/d1"), "not-found")
	for path, named := range map[string]bool{"/v1/dead-letters/d1": true, "/v1/dead-letters/d1?masked=true": false} {
		a := r.want(r.get(all, path), http.StatusOK)
		if strings.Contains(string(a.body), "employee7") != named {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	in := "/v1/explanation?lane=" + tenant + ".nickname&target=chat1/employee7"
	x := as[wire.Explanation](t, r.want(r.get(all, in), http.StatusOK))
	if len(x.Fields) != 1 || len(x.Tasks) != 1 || x.Tasks[0].State != "pending" || len(x.DeadLetters) != 1 || x.Target != "chat1/employee7" {
		t.Errorf("%+v", x)
	}
	if by := as[wire.Explanation](t, r.want(r.get(all, "/v1/explanation?task="+x.Tasks[0].ID), http.StatusOK)); by.Target != x.Target {
		t.Errorf("by its task: %+v", by)
	}
	if a := r.want(r.get(reader, in), http.StatusOK); strings.Contains(string(a.body), "employee7") || strings.Contains(string(a.body), "王芳") {
		t.Errorf("not masked: %s", a.body)
	}
	r.problem(r.get(stranger, in), "not-found")
	r.problem(r.get(all, "/v1/explanation?task=nothing"), "not-found")
	r.problem(r.get(all, "/v1/explanation?lane="+tenant+".nickname&target=chat1"), "invalid-request")
}
