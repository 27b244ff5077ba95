package lane_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// lateRig is a worker, and a platform that carries a request out after it was given up.
type lateRig struct {
	*rig
	box    *sandbox.Sandbox
	land   chan struct{} // closed: the late request lands
	resend func(context.Context, time.Time)
}

var bob = ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/bob"}

func newLateRig(t *testing.T, s *redistest.Server, configure func(*lane.Config)) *lateRig {
	t.Helper()
	r := &lateRig{rig: newRig(t, s), land: make(chan struct{})}
	var err error
	r.box, err = sandbox.New(sandbox.Config{
		World: sandbox.World{Organisations: []sandbox.Organisation{{
			Name: "lakeside", Quota: -1, Apps: []sandbox.App{{Key: "app", Secret: "secret"}},
			Employees: []sandbox.Employee{{UserID: "bob"}},
			Chats:     []sandbox.Chat{{ID: "chat1", Owner: "bob", Members: []sandbox.Member{{UserID: "bob"}}}},
		}}},
		Sleep: func(ctx context.Context, _ time.Duration) error {
			select {
			case <-r.land:
			case <-ctx.Done():
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	platform := httptest.NewServer(r.box)
	t.Cleanup(func() { r.box.Close(); platform.Close() })
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: "dt", AppKey: "app", AppSecret: secret.New("secret"), API: platform.URL, OAPI: platform.URL,
		Quick: time.Millisecond, Timeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cfg := lane.Config{
		Organisation: "lakeside", Tenant: "dt", Platform: "dingtalk", Kind: tasks.KindNickname, Limits: fast,
		Timeout: time.Second, ResendAfter: time.Hour,
	}
	configure(&cfg)
	r.Set.Add(cfg, handler.Nickname(handler.Env{
		Organisation: "lakeside", Tenant: "dt", Ledger: r.Ledger, Deadline: time.Minute, Landing: cfg.ResendAfter,
	}, client))
	r.resend = r.Set.Resends()
	r.Start()
	return r
}

// names gives bob a nickname and waits for the end of the task.
func (r *lateRig) names(name string) {
	r.T.Helper()
	id := r.change(name)
	for a := r.Attempt(); a.Verdict.Action != outcome.Done; a = r.Attempt() {
		lanetest.Eventually(r.T, func() error {
			err := r.Inspector.RunTask("dt.nickname", id)
			if errors.Is(err, asynq.ErrTaskNotFound) { // its retry was due, and it has ended
				return nil
			}
			return err
		})
	}
}

// change enqueues a task that gives bob a nickname, and returns its id.
func (r *lateRig) change(name string) string {
	r.T.Helper()
	change := ledger.Change{Target: bob, Fields: []ledger.Field{{Name: "nickname", Value: name}}, TaskID: "to-" + name}
	revised := r.Ledger.Revise(r.T.Context(), change)[0]
	typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "dt", ChatID: "chat1", UserID: "bob", Nickname: name}, revised.Revision)
	if err != nil {
		r.T.Fatal(err)
	}
	_, err = r.Client.EnqueueContext(r.T.Context(), asynq.NewTask(typename, payload), asynq.TaskID(change.TaskID), asynq.Queue("dt.nickname"))
	if err != nil {
		r.T.Fatal(err)
	}
	return change.TaskID
}

// overwritten names bob B and then A, and lets the first request for B land after that.
func (r *lateRig) overwritten() {
	r.T.Helper()
	ids, err := r.box.Arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultHang, Applied: true, Lands: time.Hour, First: 1})
	if err != nil {
		r.T.Fatal(err)
	}
	r.names("B")
	r.names("A")
	r.box.Disarm(ids[0])
	close(r.land)
	r.called("B")
}

// called waits until the platform has a nickname.
func (r *lateRig) called(want string) {
	r.T.Helper()
	lanetest.Eventually(r.T, func() error {
		org, _ := r.box.State().Organisation("lakeside")
		if got, _ := org.Nick("chat1", "bob"); got != want {
			return &nameError{got, want}
		}
		return nil
	})
}

type nameError struct{ got, want string }

func (e *nameError) Error() string { return "bob is called " + e.got + ", want " + e.want }

// due makes the hour pass in which a request may land.
func (r *lateRig) due() {
	r.T.Helper()
	past := float64(time.Now().Add(-2 * time.Hour).Unix())
	if err := r.Redis.HSet(r.T.Context(), "rollcall:{lakeside/nickname}:target:chat1/bob", "q:nickname", past).Err(); err != nil {
		r.T.Fatal(err)
	}
	if err := r.Redis.ZAdd(r.T.Context(), "rollcall:{lakeside/nickname}:late:dt", redis.Z{Score: past, Member: bob.Key}).Err(); err != nil {
		r.T.Fatal(err)
	}
}

func (r *lateRig) waiting() ledger.LateTargets {
	r.T.Helper()
	found := r.Ledger.LateTargets(r.T.Context(), time.Now(), 10, ledger.Sender{Organisation: "lakeside", API: "nickname", Tenant: "dt"})[0]
	if found.Err != nil {
		r.T.Fatal(found.Err)
	}
	return found
}

func TestAValueThatALateRequestOverwroteIsSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newLateRig(t, s, func(*lane.Config) {})
		r.overwritten()
		before, err := r.Ledger.Look(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		r.resend(t.Context(), time.Now())
		if n := r.waiting().Waiting; n != 1 {
			t.Errorf("%d targets wait before their time, want 1", n)
		}
		r.due()
		r.idle()
		r.called("A")
		a := lanetest.Await(t, r.Watch.Resends, "a resend")
		if a.Verdict.Action != outcome.Done || a.Report.Sends != 1 || a.Lane != "dt.nickname" {
			t.Errorf("%+v", a)
		}
		after, err := r.Ledger.Look(t.Context(), bob)
		if err != nil || after.Revision != before.Revision || after.Fields["nickname"].Applied != before.Fields["nickname"].Applied || !after.Fields["nickname"].Late.IsZero() {
			t.Errorf("%+v, %v; before it was %+v", after, err, before)
		}
		if n := r.waiting().Waiting; n != 0 {
			t.Errorf("%d targets wait, want none", n)
		}
		if n := len(r.Log.Lines("value sent again")); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// idle looks until a resend was attempted: the lane may still have counted its last task
// as pending.
func (r *lateRig) idle() {
	r.T.Helper()
	lanetest.Eventually(r.T, func() error {
		r.resend(r.T.Context(), time.Now())
		if len(r.Watch.Resends) == 0 {
			return &nameError{"not sent", "sent"}
		}
		return nil
	})
}

func TestNothingIsSentAgainOnHold(t *testing.T) {
	t.Parallel()
	r := newLateRig(t, redistest.One(t), func(*lane.Config) {})
	r.overwritten()
	r.due()
	h := r.hold(hold.Hold{Scope: hold.Scope{Level: hold.Lane, Name: "dt.nickname"}})
	r.Held(0)
	r.resend(t.Context(), time.Now())
	if n := len(r.Watch.Resends); n != 0 {
		t.Errorf("%d attempts on hold", n)
	}
	if _, err := r.holds().End(t.Context(), h, "somebody"); err != nil {
		t.Fatal(err)
	}
	r.Free(0)
	r.idle()
	r.called("A")
}

// The calls so far leave the reserve of the month alone.
func TestAResendDoesNotUseTheReserveOfTheMonth(t *testing.T) {
	t.Parallel()
	r := newLateRig(t, redistest.One(t), func(cfg *lane.Config) { cfg.Metered, cfg.Quota = true, pace.Quota{Calls: 100} })
	r.overwritten()
	r.due()
	months, err := pace.ReadMonths(t.Context(), r.Redis, "lakeside")
	if err != nil {
		t.Fatal(err)
	}
	spent := int(months[0].Spent)
	if err := r.Set.SetQuota(t.Context(), "lakeside", pace.Quota{Calls: spent + 1, Reserve: 1}); err != nil {
		t.Fatal(err)
	}
	r.resend(t.Context(), time.Now())
	select { // where the month's hold is not in effect yet, the pace refuses the call
	case a := <-r.Watch.Resends:
		if a.Verdict.Class != outcome.Quota || a.Report.Sends != 0 {
			t.Errorf("%+v", a)
		}
	default:
	}
	if n := r.waiting().Waiting; n != 1 {
		t.Errorf("%d targets wait, want 1", n)
	}
	if err := r.Set.SetQuota(t.Context(), "lakeside", pace.Quota{Calls: spent + 2, Reserve: 1}); err != nil {
		t.Fatal(err)
	}
	r.Free(0)
	r.due()
	r.idle()
	r.called("A")
}

func TestAResendThatIsRejectedIsGivenUpAndItsRecordStays(t *testing.T) {
	t.Parallel()
	r := newLateRig(t, redistest.One(t), func(*lane.Config) {})
	r.overwritten()
	r.due()
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "41049"}); err != nil {
		t.Fatal(err)
	}
	r.idle()
	if a := lanetest.Await(t, r.Watch.Resends, "a resend"); a.Verdict.Action != outcome.Dead {
		t.Errorf("%+v", a.Verdict)
	}
	record, err := r.Ledger.Look(t.Context(), bob)
	if n := r.waiting().Waiting; err != nil || n != 0 || record.Fields["nickname"].Late.IsZero() {
		t.Errorf("%d targets wait; %+v, %v", n, record, err)
	}
	if n := len(r.Log.Lines("value not sent again")); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
}

// refresh has bob's name confirmed.
func (r *lateRig) refresh() {
	r.T.Helper()
	sender := ledger.Sender{Organisation: "lakeside", API: "nickname", Tenant: "dt"}
	if err := r.Ledger.SetRefresh(r.T.Context(), sender, []ledger.Target{bob}, time.Now().Add(-time.Minute), time.Hour); err != nil {
		r.T.Fatal(err)
	}
}

// calls counts the calls for bob's name.
func (r *lateRig) calls() (n int) {
	for _, c := range r.box.Calls() {
		if c.API == sandbox.APIGroupNick {
			n++
		}
	}
	return n
}

func TestAnOldNameIsConfirmedByOneCall(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newLateRig(t, s, func(*lane.Config) {})
		r.names("A")
		r.refresh()
		r.idle()
		a := lanetest.Await(t, r.Watch.Resends, "a refresh")
		if a.Verdict.Action != outcome.Done || a.Report.Sends != 1 || r.calls() != 2 {
			t.Errorf("%+v, after %d calls", a, r.calls())
		}
		r.resend(t.Context(), time.Now())
		if left := r.waiting(); len(left.Refresh) != 0 {
			t.Errorf("%+v", left)
		}
	})
}

func TestARefreshDoesNotUseTheReserveOfTheMonth(t *testing.T) {
	t.Parallel()
	r := newLateRig(t, redistest.One(t), func(cfg *lane.Config) { cfg.Metered, cfg.Quota = true, pace.Quota{Calls: 100} })
	r.names("A")
	r.refresh()
	if err := r.Set.SetQuota(t.Context(), "lakeside", pace.Quota{Calls: 2, Reserve: 1}); err != nil {
		t.Fatal(err)
	}
	r.resend(t.Context(), time.Now())
	select { // where the month's hold is not in effect yet, the pace refuses the call
	case a := <-r.Watch.Resends:
		if a.Verdict.Class != outcome.Quota || a.Report.Sends != 0 {
			t.Errorf("%+v", a)
		}
	default:
	}
	if n := r.calls(); n != 1 {
		t.Errorf("%d calls, want that of the change alone", n)
	}
}

func TestARefreshThatIsRejectedEnds(t *testing.T) {
	t.Parallel()
	r := newLateRig(t, redistest.One(t), func(*lane.Config) {})
	r.names("A")
	r.refresh()
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "41049"}); err != nil {
		t.Fatal(err)
	}
	r.idle()
	if a := lanetest.Await(t, r.Watch.Resends, "a refresh"); a.Verdict.Action != outcome.Dead {
		t.Errorf("%+v", a.Verdict)
	}
	lanetest.Eventually(t, func() error {
		if len(r.Log.Lines("value not confirmed")) != 1 || len(r.waiting().Refresh) != 0 {
			return &nameError{"tried again", "given up"}
		}
		return nil
	})
}
