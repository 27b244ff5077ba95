package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

func TestLanesAndQuotaShowWhatTheTokenMaySee(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	r.want(r.post(producer, "/v1/tasks", oneTask), http.StatusCreated)
	_, _, err := hold.NewStore(r.rdb).Put(t.Context(), hold.Hold{
		Scope: hold.Scope{Level: hold.Tenant, Name: tenant}, Class: hold.Operator, Reason: "wrong roster", Since: time.Now(), By: "anna",
	})
	if err != nil {
		t.Fatal(err)
	}
	lanes := as[api.Lanes](t, r.want(r.get(reader, "/v1/lanes"), http.StatusOK)).Lanes
	if len(lanes) != 3 || lanes[2].Lane != "lakeside-dt.nickname" || lanes[2].Pending != 1 || len(lanes[2].Holds) != 1 || lanes[2].Holds[0].Reason != "wrong roster" {
		t.Errorf("%+v", lanes)
	}
	if every := as[api.Lanes](t, r.get(all, "/v1/lanes")).Lanes; len(every) != 6 {
		t.Errorf("%+v", every)
	}
	r.want(r.get(reader, "/v1/quota"), http.StatusOK)
}

func TestATargetIsExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	task := as[wire.Stored](t, r.want(r.post(producer, "/v1/tasks", strings.Replace(oneTask, "u1", "employee7", 1)), http.StatusCreated))
	effect, err := json.Marshal(ledger.Event{TaskID: "t0", Revision: 7, RequestID: "r-employee7", Set: map[string]string{"nickname": "王芳"}})
	key := "rollcall:{lakeside/nickname}:target:chat1/employee7"
	if err = errors.Join(err, r.rdb.HSet(t.Context(), key, "r:nickname", 7, "v:nickname", "王芳").Err(),
		r.rdb.LPush(t.Context(), "rollcall:{lakeside/nickname}:effects:chat1/employee7", fmt.Sprintf("%d %s", time.Now().Unix(), effect)).Err()); err != nil {
		t.Fatal(err)
	}
	a := r.want(r.get(reader, "/v1/targets/lakeside-dt/nickname?target=chat1/employee7"), http.StatusOK)
	v := as[api.Target](t, a)
	if !v.Known || len(v.Fields) != 1 || v.Fields[0].State != "waiting" || !v.Fields[0].Open || v.Fields[0].TaskID != task.TaskID || len(v.Effects) != 1 {
		t.Errorf("%+v", v)
	}
	if strings.Contains(string(a.body), "芳") || strings.Contains(string(a.body), "mployee7") {
		t.Errorf("the person is named: %s", a.body)
	}
	if named := as[api.Target](t, r.get(all, "/v1/targets/lakeside-dt/nickname?target=chat1/employee7")); named.Fields[0].Value != "王芳" || named.Target != "chat1/employee7" {
		t.Errorf("%+v", named)
	}
	if unknown := as[api.Target](t, r.want(r.get(reader, "/v1/targets/lakeside-dt/nickname?target=chat1/u9"), http.StatusOK)); unknown.Known {
		t.Errorf("%+v", unknown)
	}
	r.problem(r.get(reader, "/v1/targets/lakeside-dt/nickname?target=chat1"), "invalid-request")
}

// archive adds a dead letter of a tenant.
func (r *rig) archive(id, of string) {
	r.t.Helper()
	typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: of, ChatID: "chat1", UserID: "employee7", Nickname: "三年二班 王芳"}, 1234)
	if err != nil {
		r.t.Fatal(err)
	}
	const said = "user EMPLOYEE7 (王芳) is not in chat1"
	_, err = ledger.New(r.rdb).AddDeadLetter(r.t.Context(), ledger.DeadLetter{
		ID: id, Lane: of + ".nickname", Tenant: of, Kind: "nickname", Organisation: organisation, Type: typename, Payload: payload,
		Target: "chat1/employee7", Revision: 1234, Class: "rejected", Code: "34001", Message: said, Cause: said, Todo: "correct the roster", First: time.Now(), Last: time.Now(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestDeadLettersAreListedReplayedAndDiscarded(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	r.archive("d1", tenant)
	r.archive("d2", tenant)
	r.archive("d3", other)
	a := r.want(r.get(reader, "/v1/dead-letters?class=rejected"), http.StatusOK)
	if listed := as[wire.DeadLetters](t, a).DeadLetters; len(listed) != 2 || listed[0].Code != "34001" {
		t.Errorf("%s", a.body)
	}
	if text := strings.ToLower(string(a.body)); strings.Contains(text, "芳") || strings.Contains(text, "mployee7") {
		t.Errorf("the person is named: %s", a.body)
	}
	if named := r.get(all, "/v1/dead-letters?tenant=seaside-dt"); !strings.Contains(string(named.body), "EMPLOYEE7 (王芳)") || len(as[wire.DeadLetters](t, named).DeadLetters) != 1 {
		t.Errorf("%s", named.body)
	}
	got := as[wire.Settled](t, r.want(r.post(operator, "/v1/dead-letters/replay", `{"ids":["d1","nosuch"],"reason":"joined"}`), http.StatusOK)).Results
	if len(got) != 2 || got[0].Outcome != "replayed" || got[0].TaskID == "" || got[1].Outcome != "missing" {
		t.Errorf("%+v", got)
	}
	got = as[wire.Settled](t, r.want(r.post(stranger, "/v1/dead-letters/discard", `{"ids":["d2","d3"]}`), http.StatusOK)).Results
	if len(got) != 2 || got[0].Outcome != "missing" || got[1].Outcome != "discarded" {
		t.Errorf("%+v", got)
	}
	if left := as[wire.DeadLetters](t, r.get(all, "/v1/dead-letters")).DeadLetters; len(left) != 1 || left[0].ID != "d2" {
		t.Errorf("%+v", left)
	}
	events, err := audit.Read(t.Context(), r.rdb, 10)
	if err != nil || len(events) != 2 || events[0].By != "token:operator" && events[1].By != "token:operator" {
		t.Errorf("%+v, %v", events, err)
	}
}
