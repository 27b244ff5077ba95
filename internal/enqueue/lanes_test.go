package enqueue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func openAt(t *testing.T, s *redistest.Server, clock *testClock) *enqueue.Client {
	t.Helper()
	client, err := enqueue.New(enqueue.Config{
		Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}, Now: clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func publish(t *testing.T, s *redistest.Server, lanes ...registry.Lane) {
	t.Helper()
	if err := registry.Publish(t.Context(), s.Client(t), lanes); err != nil {
		t.Fatal(err)
	}
}

func TestLanesAreReadAsTheyWerePublished(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		want := []registry.Lane{
			{Organisation: "lakeside", Tenant: "lakeside-ci", Kind: tasks.KindCourse},
			{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname, NicknameMax: 40},
		}
		publish(t, s, want[1], want[0])
		rdb := s.Client(t)
		rdb.HSet(t.Context(), registry.Key, "odd.nickname", `{"tenant":7}`, "other.id", `{"organisation":"o","tenant":"lakeside-dt","kind":"id"}`)
		got, err := registry.Read(t.Context(), rdb, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(registry.Lane{}, "Seen")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if age := time.Since(got[0].Seen); age < 0 || age > time.Hour {
			t.Errorf("seen %s ago", age)
		}
	})
}

func TestAnInvalidLaneIsNotPublished(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for _, lane := range []registry.Lane{
		{Organisation: "o", Tenant: "A", Kind: tasks.KindID},
		{Organisation: "o", Tenant: "a", Kind: "mail"},
		{Tenant: "a", Kind: tasks.KindID},
	} {
		if err := registry.Publish(t.Context(), s.Client(t), []registry.Lane{lane}); err == nil {
			t.Errorf("%+v was published", lane)
		}
	}
}

func TestAnUnservedTaskIsRefusedWithTheServedTenants(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	publish(t, s,
		registry.Lane{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindGroup},
		registry.Lane{Organisation: "hill", Tenant: "hill-dt", Kind: tasks.KindNickname},
		registry.Lane{Organisation: "bay", Tenant: "bay-dt", Kind: tasks.KindNickname})
	result, err := open(t, s.Addr).Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
	if result.Outcome != tasks.Refused || err == nil {
		t.Fatalf("%+v: %v", result, err)
	}
	const want = `no worker serves nickname tasks of tenant "lakeside-dt": it is served for group; served for nickname tasks are bay-dt, hill-dt`
	if err.Error() != want {
		t.Errorf("\n got %s\nwant %s", err, want)
	}
	if n := s.Mini.Keys(); len(n) != 1 {
		t.Errorf("the refusal left keys behind: %v", n)
	}
}

func TestALaneThatWasNotPublishedForAWeekIsNotServed(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	serve(t, s)
	var clock testClock
	client := openAt(t, s, &clock)
	clock.advance(7*24*time.Hour - time.Minute)
	if _, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * time.Minute)
	_, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
	if _, ok := errors.AsType[*tasks.UnservedError](err); !ok || !strings.Contains(err.Error(), "start a worker") {
		t.Errorf("%v", err)
	}
}

func TestLanesAreReadEveryHalfMinuteAndAgainForAMissingOne(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	serve(t, s)
	var clock testClock
	f := &faults{marks: []string{"hgetall"}}
	p := redistest.NewProxy(t, s.Addr, f.judge, nil)
	client := openAt(t, &redistest.Server{Addr: p.Addr()}, &clock)
	enqueue := func(task tasks.Task, want tasks.Outcome, reads int) {
		t.Helper()
		result, err := client.Enqueue(t.Context(), task, tasks.Options{})
		if result.Outcome != want || f.met != reads {
			t.Errorf("%s after %d readings, want %s after %d: %v", result.Outcome, f.met, want, reads, err)
		}
	}
	other := nick("u1", "A")
	other.Tenant = "hill-dt"

	enqueue(nick("u1", "A"), tasks.Stored, 1)
	clock.advance(29 * time.Second)
	enqueue(nick("u1", "A"), tasks.Stored, 1)
	enqueue(other, tasks.Refused, 2)
	enqueue(other, tasks.Refused, 2) // a second file row a moment later
	publish(t, s, registry.Lane{Organisation: "hill", Tenant: "hill-dt", Kind: tasks.KindNickname})
	clock.advance(time.Second)
	enqueue(other, tasks.Stored, 3)
	clock.advance(31 * time.Second)
	enqueue(other, tasks.Stored, 4)
}

func TestTheLaneBoundsTheLengthOfANickname(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	publish(t, s, registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: tasks.KindNickname, NicknameMax: 40})
	client := open(t, s.Addr)
	for n, want := range map[int]tasks.Outcome{40: tasks.Stored, 41: tasks.Refused} {
		if result, err := client.Enqueue(t.Context(), nick("u1", strings.Repeat("三", n)), tasks.Options{}); result.Outcome != want {
			t.Errorf("%d characters: %s: %v", n, result.Outcome, err)
		}
	}
}
