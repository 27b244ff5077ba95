package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

func TestNamesAreMaskedWithoutTheScope(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	rows := `{"tenant":"lakeside-dt","chat_id":"chat1","user_id":"employee7","nickname":"三年二班 王芳","key":"2026/employee7/王芳"}` + "\n" +
		`{"tenant":"lakeside-dt","chat_id":"chat1","user_id":"employee7","nickname":"三年三班 李娜","key":"2"}` + "\n"
	made := r.planned(producer, rows)
	for _, path := range []string{"/plan", "/results"} {
		for token, named := range map[string]bool{producer: false, all: true} {
			a := r.want(r.get(token, "/v1/runs/"+made.ID+path), http.StatusOK)
			if got := strings.Contains(string(a.body), "芳") && strings.Contains(string(a.body), "mployee7"); got != named {
				t.Errorf("%s by %s names the person: %v\n%s", path, token, got, a.body)
			}
			if !named && (strings.Contains(string(a.body), "芳") || strings.Contains(string(a.body), "mployee7")) {
				t.Errorf("%s by %s names a part of the person\n%s", path, token, a.body)
			}
		}
	}
	r.problem(r.get(producer, "/v1/runs/"+made.ID+"/results?format=xlsx"), "names-not-allowed")
	r.problem(r.get(producer, "/v1/runs/"+as[wire.Run](t, r.post(producer, "/v1/runs", "")).ID+"/results"), "wrong-state")
}

// A file of results is sent again as it is.
func TestAFileOfResultsCanBeUploadedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	made := r.planned(all, nicknames(1, 3)+idRow)
	for format, kind := range map[string]string{
		"ndjson": "application/x-ndjson", "csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	} {
		a := r.want(r.get(all, "/v1/runs/"+made.ID+"/results?outcome=waiting&format="+format), http.StatusOK)
		if !strings.Contains(a.Header.Get("Content-Disposition"), made.ID+"."+format) {
			t.Errorf("Content-Disposition %s", a.Header.Get("Content-Disposition"))
		}
		again := as[wire.Run](t, r.want(r.do(call{method: "POST", path: "/v1/runs", token: all, kind: kind, body: string(a.body)}), http.StatusCreated))
		plan := r.plan(all, again.ID)
		if diff := cmp.Diff(append(numbered(3), ""), r.keysOf(again.ID)); diff != "" || plan.Run.Plan.Counts[run.RowNew] != 4 {
			t.Errorf("%s: %s%+v", format, diff, plan.Run.Plan)
		}
		if plan.Rows[0].Values[0].New != "王芳1" {
			t.Errorf("%s: %+v", format, plan.Rows[0])
		}
	}
}
