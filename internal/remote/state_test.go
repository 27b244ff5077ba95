package remote_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/explain"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/internal/remote"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// What crosses the API is what the services read in Redis. Times cross it without their zones.
var alike = cmp.Options{cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hold.Hold{}, pace.Status{})}

func TestTheLanesAreThoseOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	holds := hold.NewStore(r.rdb)
	for _, h := range []hold.Hold{
		{Scope: hold.Scope{Level: hold.Lane, Name: "lakeside-dt.nickname"}, Class: hold.Operator, Bulk: true, Reason: "wrong roster", By: "bob"},
		{Scope: hold.Scope{Level: hold.Tenant, Name: "lakeside-dt"}, Class: hold.Operator, Reason: "holidays", By: "bob"},
		{Scope: hold.Scope{Level: hold.Tenant, Name: "left"}, Class: hold.Operator, Reason: "missing", By: "bob"},
	} {
		if _, _, err := holds.Put(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.rdb.HSet(t.Context(), pace.MonthKey("lakeside"), "quota", "5000 100 4000").Err(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(4 * time.Minute) // no worker is seen
	want, err := overview.ReadLanes(t.Context(), r.rdb, now)
	if err != nil || len(want.Lanes) != 1 || len(want.Lanes[0].Holds) != 2 || len(want.Strays) != 1 || !want.Lanes[0].Unseen || !want.Lanes[0].Pace.Month.QuotaKnown {
		t.Fatalf("%+v, %v", want, err)
	}
	got, err := r.client().Survey(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	// Rows are checked by the lanes that are served.
	if diff := cmp.Diff(want, got, alike, cmpopts.IgnoreFields(registry.Lane{}, "NicknameMax")); diff != "" {
		t.Errorf("-Redis +API:\n%s", diff)
	}
	if err := r.rdb.Set(t.Context(), "asynq:{lakeside-dt.nickname}:pending", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := r.client().Survey(t.Context(), now); err != nil || got.Damage == nil || len(got.Lanes) != 1 {
		t.Errorf("with a damaged key: %+v, %v", got, err)
	}
}

func TestARunIsThatOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.client()
	made, err := c.Create(t.Context(), run.Draft{Name: "spring", File: run.File{Name: "名单.csv", Encoding: "GB18030"}})
	if err == nil {
		_, err = c.Add(t.Context(), made.ID, 0, rows(1, 3))
	}
	if err == nil {
		_, err = c.Seal(t.Context(), made.ID, 2)
	}
	if err == nil {
		_, err = c.Plan(t.Context(), made.ID, nil)
	}
	if err == nil {
		_, err = c.Reject(t.Context(), made.ID, "", "wrong list")
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.service.Get(t.Context(), made.ID)
	if err != nil || want.File.Name != "名单.csv" || len(want.History) == 0 {
		t.Fatalf("%+v, %v", want, err)
	}
	got, err := c.Get(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, alike, cmpopts.IgnoreUnexported(run.Run{})); diff != "" {
		t.Errorf("-Redis +API:\n%s", diff)
	}
}

func TestATargetIsThatOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.client()
	result := c.Enqueue(t.Context(), rows(1, 2)[0].Request)
	if result.Outcome != tasks.Stored {
		t.Fatalf("%+v", result)
	}
	lane := registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname}
	now, key := time.Now(), "chat1/u1"
	want, err := explain.NewReader(r.rdb).Read(t.Context(), lane, key, explain.Full(), true, now)
	if err != nil || len(want.Tasks) != 1 {
		t.Fatalf("%+v, %v", want, err)
	}
	for _, sought := range []remote.Sought{
		{Lane: "lakeside-dt.nickname", Target: key, Personal: true}, {Task: result.TaskID, Personal: true},
	} {
		name, got, err := c.Explain(t.Context(), sought)
		if err != nil || name != "lakeside-dt.nickname" {
			t.Fatalf("%s, %v", name, err)
		}
		got.Lane, got.Now = lane, now
		// Organisation and API are those of the lane; the values of a task are not shown. A task
		// that may run is due at the moment of the reading.
		if diff := cmp.Diff(want, got, alike, cmpopts.IgnoreUnexported(explain.Target{}), cmpopts.IgnoreFields(explain.Task{}, "Values", "Next"),
			cmpopts.IgnoreFields(ledger.Target{}, "Organisation", "API")); diff != "" {
			t.Errorf("%+v: -Redis +API:\n%s", sought, diff)
		}
	}
	_, masked, err := c.Explain(t.Context(), remote.Sought{Lane: "lakeside-dt.nickname", Target: key})
	if err != nil || masked.Key() == key {
		t.Errorf("%s is not masked, %v", masked.Key(), err)
	}
}
