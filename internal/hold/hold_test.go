package hold_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	began = time.Date(2026, 3, 1, 3, 12, 0, 0, time.UTC)
	lane  = hold.Place{Level: hold.Lane, Name: "dt.nickname"}
	// likeness is what two holds have in common that differ in how they were read.
	likeness = cmpopts.IgnoreUnexported(hold.Hold{})
)

func refused(place hold.Place) hold.Hold {
	return hold.Hold{
		Place: place, Class: hold.Refused, Reason: "40014: the app secret is wrong", Since: began, By: "worker-1", Probe: hold.ByToken,
	}
}

func operator(place hold.Place) hold.Hold {
	return hold.Hold{Place: place, Class: hold.Operator, Reason: "the school is being renamed", Since: began, By: "ann@desk"}
}

func put(t *testing.T, b *hold.Board, h hold.Hold, want hold.Change) hold.Hold {
	t.Helper()
	stored, change, err := b.Put(t.Context(), h)
	if err != nil || change != want {
		t.Fatalf("put %s: %s, %v; want %s", h.Place, change, err, want)
	}
	return stored
}

// reread is what another process reads.
func reread(t *testing.T, rdb redis.UniversalClient) []hold.Hold {
	t.Helper()
	b := hold.NewBoard(rdb)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.All()
}

func TestExactlyOneOfManyWhoPutTheSameHoldIsToldThatItBegan(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		var entered, same atomic.Int64
		var workers sync.WaitGroup
		for range 20 {
			workers.Go(func() {
				switch _, change, err := hold.NewBoard(rdb).Put(t.Context(), refused(lane)); {
				case err != nil:
					t.Error(err)
				case change == hold.Entered:
					entered.Add(1)
				case change == hold.Same:
					same.Add(1)
				}
			})
		}
		workers.Wait()
		if entered.Load() != 1 || same.Load() != 19 {
			t.Errorf("%d were told that it began and %d that it goes on, want 1 and 19", entered.Load(), same.Load())
		}
	})
}

func TestWhatIsPutIsWhatAnotherProcessReads(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		beijing := time.FixedZone("Asia/Shanghai", 8*60*60)
		h := refused(hold.Place{Level: hold.Tenant, Name: "dt"})
		h.Bulk, h.Since, h.Until = true, began.In(beijing).Add(300*time.Microsecond), began.Add(time.Hour).In(beijing)
		h.Reason = `钉钉 said "no" / <b>` + "\n\x1b[31m"
		want := h
		want.Since, want.Until, want.Next = began, began.Add(time.Hour), began.Add(time.Minute)
		stored := put(t, hold.NewBoard(s.Client(t)), h, hold.Entered)
		for _, got := range [][]hold.Hold{{stored}, reread(t, s.Client(t))} {
			if diff := cmp.Diff([]hold.Hold{want}, got, likeness); diff != "" {
				t.Errorf("-put +read:\n%s", diff)
			}
		}
	})
}

func TestAHoldNeedsAPlaceAClassAndAReason(t *testing.T) {
	t.Parallel()
	b := hold.NewBoard(redistest.Mini(t).Client(t))
	for what, spoil := range map[string]func(*hold.Hold){
		"level": func(h *hold.Hold) { h.Level = "" }, "name": func(h *hold.Hold) { h.Name = "" },
		"class": func(h *hold.Hold) { h.Class = "" }, "reason": func(h *hold.Hold) { h.Reason = "" },
	} {
		h := refused(lane)
		spoil(&h)
		if _, _, err := b.Put(t.Context(), h); err == nil {
			t.Errorf("a hold without a %s was put", what)
		}
	}
}

// A platform's text may be in any encoding, and a lane must be held all the same.
func TestAReasonThatIsNoUTF8HoldsAllTheSame(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		h := refused(lane)
		h.Reason = "40014: \xb2\xbb\xba\xcf\xb7\xa8"
		put(t, hold.NewBoard(s.Client(t)), h, hold.Entered)
		if all := reread(t, s.Client(t)); len(all) != 1 || !strings.HasPrefix(all[0].Reason, "40014: \ufffd") {
			t.Errorf("read are %+v", all)
		}
	})
}

func TestAHoldThatGoesOnKeepsItsBeginningAndItsProbes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewBoard(rdb)
		first := put(t, b, refused(lane), hold.Entered)
		claimed, mine, err := b.Claim(t.Context(), first, first.Next)
		if err != nil || !mine {
			t.Fatalf("claim: %t, %v", mine, err)
		}

		again := refused(lane)
		again.Since, again.By = began.Add(time.Hour), "worker-2"
		if diff := cmp.Diff(claimed, put(t, hold.NewBoard(rdb), again, hold.Same), likeness); diff != "" {
			t.Errorf("put once more, -before +after:\n%s", diff)
		}

		again.Until = began.Add(2 * time.Hour)
		want := claimed
		want.Until, want.By = again.Until, again.By
		if diff := cmp.Diff(want, put(t, b, again, hold.Same), likeness); diff != "" {
			t.Errorf("with another end, -want +got:\n%s", diff)
		}

		again.Reason = "88: no permission"
		want.Reason = again.Reason
		if diff := cmp.Diff(want, put(t, b, again, hold.Changed), likeness); diff != "" {
			t.Errorf("with another reason, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff([]hold.Hold{want}, reread(t, rdb), likeness); diff != "" {
			t.Errorf("read by another, -want +got:\n%s", diff)
		}
	})
}

func TestAHoldOfAnotherSortKeepsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*hold.Hold){
		"another class": func(h *hold.Hold) { h.Class = hold.Failing },
		"another probe": func(h *hold.Hold) { h.Probe, h.Reason = hold.ByTask, "88: no permission" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				b := hold.NewBoard(s.Client(t))
				before := refused(lane)
				before.Until, before.Bulk = began.Add(24*time.Hour), true
				before = put(t, b, before, hold.Entered)
				if _, mine, err := b.Claim(t.Context(), before, before.Next); err != nil || !mine {
					t.Fatalf("claim: %t, %v", mine, err)
				}
				after := refused(lane)
				after.Since = began.Add(time.Hour)
				change(&after)
				want := after
				want.Next = want.Since.Add(want.Class.Wait(0))
				if diff := cmp.Diff(want, put(t, b, after, hold.Changed), likeness); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

func TestAPersonsHoldWithAnotherEndIsChanged(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		b := hold.NewBoard(s.Client(t))
		put(t, b, operator(lane), hold.Entered)
		put(t, b, operator(lane), hold.Same)
		longer := operator(lane)
		longer.Until = began.Add(time.Hour)
		put(t, b, longer, hold.Changed)
		longer.Bulk = true
		put(t, b, longer, hold.Changed)
	})
}

func TestAHoldWhoseTimeIsOverDoesNotGoOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		b := hold.NewBoard(s.Client(t))
		spent := hold.Hold{Place: lane, Class: hold.Quota, Reason: "the day's calls are spent", Since: began, Until: began.Add(time.Hour), By: "worker-1"}
		put(t, b, spent, hold.Entered)
		spent.Since, spent.Until = began.Add(time.Hour), began.Add(25*time.Hour)
		if diff := cmp.Diff(spent, put(t, b, spent, hold.Entered), likeness); diff != "" {
			t.Errorf("the next day, -want +got:\n%s", diff)
		}
	})
}

func TestAProbeIsHadByOneWhenItIsDue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		h := put(t, hold.NewBoard(rdb), refused(lane), hold.Entered)
		if _, mine, err := hold.NewBoard(rdb).Claim(t.Context(), h, h.Next.Add(-time.Millisecond)); mine || err != nil {
			t.Errorf("it was had before it was due: %t, %v", mine, err)
		}
		var had atomic.Int64
		var workers sync.WaitGroup
		for range 10 {
			workers.Go(func() {
				b := hold.NewBoard(rdb)
				if err := b.Refresh(t.Context()); err != nil {
					t.Error(err)
					return
				}
				for _, h := range b.Of(lane) {
					if _, mine, err := b.Claim(t.Context(), h, began.Add(time.Minute)); err != nil {
						t.Error(err)
					} else if mine {
						had.Add(1)
					}
				}
			})
		}
		workers.Wait()
		if had.Load() != 1 {
			t.Errorf("%d have the probe", had.Load())
		}
		put(t, hold.NewBoard(rdb), operator(lane), hold.Entered)
		for _, h := range reread(t, rdb) {
			if _, mine, err := hold.NewBoard(rdb).Claim(t.Context(), h, began.Add(24*time.Hour)); mine != (h.Class == hold.Refused) || err != nil {
				t.Errorf("%s: the next probe is had: %t, %v", h.Class, mine, err)
			}
		}
	})
}

func TestProbesGetRarer(t *testing.T) {
	t.Parallel()
	for class, want := range map[hold.Class]string{
		hold.Refused: "1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s",
		hold.Failing: "15s 30s 1m0s 2m0s 4m0s 5m0s 5m0s",
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			b := hold.NewBoard(redistest.Mini(t).Client(t))
			h := refused(lane)
			h.Class = class
			h = put(t, b, h, hold.Entered)
			at := began
			for i, wait := range strings.Fields(want) {
				if got := h.Next.Sub(at).String(); got != wait {
					t.Errorf("after %d probes the next comes in %s, want %s", i, got, wait)
				}
				at = h.Next
				var mine bool
				var err error
				if h, mine, err = b.Claim(t.Context(), h, at); err != nil || !mine || h.Tries != i+1 {
					t.Fatalf("probe %d: %t, %v, tries %d", i+1, mine, err, h.Tries)
				}
			}
		})
	}
	// However often, and whatever a stored hold says.
	for _, tries := range []int{-1, 1000} {
		if wait := hold.Refused.Wait(tries); wait < time.Minute || wait > time.Hour {
			t.Errorf("after %d probes the next comes in %s", tries, wait)
		}
	}
}

func TestAPersonCanHaveAHoldProbedAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewBoard(rdb)
		first := put(t, b, refused(lane), hold.Entered)
		claimed, _, err := b.Claim(t.Context(), first, first.Next)
		if err != nil {
			t.Fatal(err)
		}
		heard := rdb.Subscribe(t.Context(), hold.Channel)
		defer heard.Close()
		if _, err := heard.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := began.Add(2 * time.Minute)
		if asked, err := hold.NewBoard(rdb).ProbeNow(t.Context(), first, now); asked || err != nil {
			t.Errorf("one that was changed meanwhile: %t, %v", asked, err)
		}
		if asked, err := b.ProbeNow(t.Context(), claimed, now); !asked || err != nil {
			t.Errorf("asked: %t, %v", asked, err)
		}
		if _, err := heard.ReceiveMessage(t.Context()); err != nil {
			t.Errorf("workers are not woken: %v", err)
		}
		want := first
		want.Next, want.Tries = now, 0
		if diff := cmp.Diff([]hold.Hold{want}, reread(t, rdb), likeness); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, mine, err := b.Claim(t.Context(), b.Of(lane)[0], now); !mine || err != nil {
			t.Errorf("the probe is not to be had: %t, %v", mine, err)
		}
	})
}

func TestAHoldThatWasChangedMeanwhileIsNotLifted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		mine, other := hold.NewBoard(rdb), hold.NewBoard(rdb)
		known := put(t, mine, refused(lane), hold.Entered)
		changed := refused(lane)
		changed.Reason = "88: no permission"
		put(t, other, changed, hold.Changed)
		if lifted, err := mine.Lift(t.Context(), known, "worker-1"); lifted || err != nil {
			t.Errorf("lifted by one who does not know the reason: %t, %v", lifted, err)
		}
		if all := reread(t, rdb); len(all) != 1 || all[0].Reason != changed.Reason {
			t.Errorf("left is %+v", all)
		}
		now := other.Of(lane)[0]
		for _, want := range []bool{true, false} {
			if lifted, err := other.Lift(t.Context(), now, "worker-2"); lifted != want || err != nil {
				t.Errorf("lifted: %t, %v; want %t", lifted, err, want)
			}
		}
		if all := reread(t, rdb); len(all) != 0 {
			t.Errorf("left is %+v", all)
		}
	})
}

func TestTheHoldsOfAPersonAndOfAWorkerLiveSideBySide(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewBoard(rdb)
		person := operator(lane)
		person.Bulk = true
		put(t, b, person, hold.Entered)
		put(t, b, refused(lane), hold.Entered)
		put(t, b, refused(hold.Place{Level: hold.Tenant, Name: "ci"}), hold.Entered)
		classes := func() (all []hold.Class) {
			if err := b.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, h := range b.Of(hold.Place{Level: hold.Tenant, Name: "dt"}, lane) {
				all = append(all, h.Class)
			}
			return all
		}
		if diff := cmp.Diff([]hold.Class{hold.Refused, hold.Operator}, classes()); diff != "" {
			t.Errorf("what holds most comes first, -want +got:\n%s", diff)
		}
		if lifted, err := b.Lift(t.Context(), b.Of(lane)[1], "ann"); !lifted || err != nil {
			t.Fatalf("lift the person's: %t, %v", lifted, err)
		}
		if diff := cmp.Diff([]hold.Class{hold.Refused}, classes()); diff != "" {
			t.Errorf("without the person's, -want +got:\n%s", diff)
		}
	})
}

func TestEachTransitionIsToldOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewBoard(rdb)
		put(t, b, refused(lane), hold.Entered)
		put(t, b, refused(lane), hold.Same)
		longer := refused(lane)
		longer.Until = began.Add(time.Hour)
		h := put(t, b, longer, hold.Same)
		h, _, err := b.Claim(t.Context(), h, h.Next)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ProbeNow(t.Context(), h, began); err != nil {
			t.Fatal(err)
		}
		other := refused(lane)
		other.Reason, other.By = "88: no permission", "worker-2"
		h = put(t, b, other, hold.Changed)
		for range 2 { // the second comes too late
			if _, err := b.Lift(t.Context(), h, "worker-3"); err != nil {
				t.Fatal(err)
			}
		}
		events, err := hold.ReadEvents(t.Context(), rdb, 100)
		if err != nil {
			t.Fatal(err)
		}
		event := func(word, reason, by string) hold.Event {
			return hold.Event{Place: lane, Event: word, Class: hold.Refused, Reason: reason, By: by}
		}
		want := []hold.Event{
			event("hold.entered", "40014: the app secret is wrong", "worker-1"),
			event("hold.changed", "88: no permission", "worker-2"),
			event("hold.left", "88: no permission", "worker-3"),
		}
		if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(hold.Event{}, "Time")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for _, e := range events {
			if age := time.Since(e.Time); age < -time.Minute || age > time.Hour {
				t.Errorf("an event that was just written is %s old", age)
			}
		}
		last, err := hold.ReadEvents(t.Context(), rdb, 2)
		if diff := cmp.Diff(events[1:], last); diff != "" || err != nil {
			t.Errorf("%v; the last two, -want +got:\n%s", err, diff)
		}
	})
}

func TestAnEventOfANewerVersionIsReadAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if events, err := hold.ReadEvents(t.Context(), rdb, 5); len(events) != 0 || err != nil {
			t.Errorf("before anything happened: %+v, %v", events, err)
		}
		if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: hold.Events, Values: []any{"event", "hold.paused", "colour", "red"}}).Err(); err != nil {
			t.Fatal(err)
		}
		events, err := hold.ReadEvents(t.Context(), rdb, 5)
		want := []hold.Event{{Event: "hold.paused"}}
		if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(hold.Event{}, "Time")); diff != "" || err != nil {
			t.Errorf("%v; -want +got:\n%s", err, diff)
		}
	})
}

func TestWhatANewerVersionWritesDoesNotBreakTheBoard(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, hold.NewBoard(rdb), refused(lane), hold.Entered)
		field := rdb.HKeys(t.Context(), hold.Key).Val()[0]
		raw := rdb.HGet(t.Context(), hold.Key, field).Val()
		newer := strings.Replace(raw, "{", `{"weight":{"kg":[1,2]},`, 1)
		tenant := hold.Place{Level: hold.Tenant, Name: "dt"}
		broken := map[string]string{
			"tenant:dt/auto":     "not JSON",
			"tenant:dt/operator": `["a","list"]`,
			"tenant:hill/auto":   raw, // another's
			"lane:x.id/auto":     strings.ReplaceAll(strings.Replace(raw, `"since":"2026`, `"since":[1],"was":"2026`, 1), "dt.nickname", "x.id"),
			"planet:earth/auto":  `{"level":"planet","name":"earth","class":"refused","reason":"r","since":"2026-03-01T00:00:00Z","by":"w"}`,
		}
		if err := rdb.HSet(t.Context(), hold.Key, field, newer).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.HSet(t.Context(), hold.Key, broken).Err(); err != nil {
			t.Fatal(err)
		}
		b := hold.NewBoard(rdb)
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, h := range b.All() {
			names = append(names, h.String())
		}
		if diff := cmp.Diff([]string{"lane dt.nickname", "planet earth"}, names); diff != "" {
			t.Errorf("-want +read:\n%s", diff)
		}
		// What cannot be read does not keep a lane from being held.
		put(t, b, operator(tenant), hold.Entered)
		put(t, b, refused(tenant), hold.Entered)
		put(t, b, refused(hold.Place{Level: hold.Lane, Name: "x.id"}), hold.Entered)
		h := put(t, b, refused(lane), hold.Same)
		if lifted, err := b.Lift(t.Context(), h, "worker-1"); !lifted || err != nil {
			t.Errorf("a newer version's hold: lifted %t, %v", lifted, err)
		}
	})
}

// overtaken writes once between a reading's question and its answer's use.
type overtaken struct {
	redis.Hook

	write func()
}

func (o *overtaken) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o *overtaken) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *overtaken) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if write := o.write; cmd.Name() == "hgetall" && write != nil {
			o.write = nil
			write()
		}
		return err
	}
}

func TestAReadingDoesNotHideAHoldThatWasPutMeanwhile(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(t)
	b := hold.NewBoard(rdb)
	hook := &overtaken{}
	hook.write = func() { put(t, b, refused(lane), hold.Entered) }
	rdb.AddHook(hook)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.Of(lane)) != 1 {
		t.Error("the lane takes tasks until the next reading")
	}
}

func TestAWordOfAChangeReachesThoseWhoListen(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		ctx, stop := context.WithCancel(t.Context())
		heard, ended := make(chan struct{}, 100), make(chan struct{})
		go func() {
			defer close(ended)
			hold.Listen(ctx, rdb, func() { heard <- struct{}{} })
		}()
		b := hold.NewBoard(rdb)
		h := operator(lane)
		for told := false; !told; {
			h.Reason += "!" // until the subscription stands
			if _, _, err := b.Put(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			select {
			case <-heard:
				told = true
			case <-time.After(10 * time.Millisecond):
			}
		}
		stop()
		<-ended
	})
}

func TestAPlaceIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]hold.Place{
		"dt.nickname":           lane,
		"lane dt.nickname":      lane,
		"tenant dt":             {Level: hold.Tenant, Name: "dt"},
		"organisation lakeside": {Level: hold.Organisation, Name: "lakeside"},
		"address office":        {Level: hold.Address, Name: "office"},
	} {
		if got, ok := hold.ParsePlace(text); !ok || got != want {
			t.Errorf("%q is read as %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "dt", "tenant ", "planet earth"} {
		if got, ok := hold.ParsePlace(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestEveryHoldSaysHowItIsLifted(t *testing.T) {
	t.Parallel()
	for _, class := range hold.Classes() {
		h := hold.Hold{Place: hold.Place{Level: hold.Tenant, Name: "dt"}, Class: class}
		if class == hold.Operator && h.HowToLift() != "enqueue lanes release tenant dt" || h.HowToLift() == "" {
			t.Errorf("%s: %q", class, h.HowToLift())
		}
		h.Place = lane
		if class == hold.Operator && h.HowToLift() != "enqueue lanes release dt.nickname" {
			t.Errorf("%s: %q", class, h.HowToLift())
		}
		h.Probe = hold.ByTask
		if !strings.HasSuffix(h.HowToLift(), "enqueue lanes release dt.nickname") {
			t.Errorf("%s: %q", class, h.HowToLift())
		}
	}
}

// Its names are stored, and read by workers of other versions.
func TestTheStoredFormIsAContract(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(t)
	h := refused(lane)
	h.Bulk, h.Until, h.Tries = true, began.Add(time.Hour), 2
	put(t, hold.NewBoard(rdb), h, hold.Entered)
	want := map[string]any{
		"level": "lane", "name": "dt.nickname", "class": "refused", "reason": "40014: the app secret is wrong", "bulk": true,
		"since": "2026-03-01T03:12:00Z", "until": "2026-03-01T04:12:00Z", "by": "worker-1", "probe": "token",
		"next": "2026-03-01T03:13:00Z", "tries": 2.0,
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(rdb.HGet(t.Context(), hold.Key, "lane:dt.nickname/auto").Val()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +stored:\n%s", diff)
	}
}
