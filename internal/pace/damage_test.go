package pace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// A worker uses no slot of an epoch before the last that it has seen. A Redis that lost
// its data counts epochs from zero.
func TestALaneThatWasPausedContinuesAfterRedisLostItsData(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := steadyLane(t, rdb, &dropped{})
		send(t, l, 1)
		for range 3 {
			if _, err := l.Pause(t.Context(), time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		send(t, l, 2)
	})
}

func TestANumberThatCannotBeIsDroppedAndNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s: make test-long")
	}
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		var d dropped
		l := steadyLane(t, rdb, &d)
		key := pace.LaneKey("lakeside", "dt.nickname")
		far := strconv.FormatInt(time.Now().AddDate(1, 0, 0).UnixMicro(), 10)
		for _, c := range []struct{ field, value string }{
			{"seq", far},
			{"epoch", far},
			{"epoch", "abc"},
			{"spread", far},
			{"share", far},
			{"share", "-5"},
			{"bad_at", far},
			{"free", far},
			{"pause", "inf"},
			{"next:1000000", "1e300"},
			{"clock", far},
		} {
			send(t, l, 1)
			if err := rdb.HSet(t.Context(), key, c.field, c.value).Err(); err != nil {
				t.Fatal(err)
			}
			d.forget()
			send(t, l, 2)
			if !d.has(c.field) {
				t.Errorf("%s=%s is not named: %q", c.field, c.value, d.text)
			}
		}
	})
}

func TestAMonthWithoutACountIsNamedAndHoldsItsOrganisationAlone(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"abc", "inf", "-1", "1e300", "1827461332"} {
		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
			rdb := s.Client(t)
			open := func(organisation string) *pace.Lane {
				l := pace.New(rdb, pace.Config{
					Organisation: organisation, Name: organisation + ".nickname", Limits: []pace.Limit{{Calls: 20, Per: window}}, Metered: true,
				})
				t.Cleanup(l.Close)
				return l
			}
			bad, other := open("lakeside"), open("hillside")
			send(t, bad, 1)
			months, err := pace.ReadMonths(t.Context(), rdb, "lakeside")
			if err != nil {
				t.Fatal(err)
			}
			if err := rdb.HSet(t.Context(), pace.MonthKey("lakeside"), months[0].Name, value).Err(); err != nil {
				t.Fatal(err)
			}
			wantMonth := func(err error) {
				t.Helper()
				if e, ok := errors.AsType[*pace.DamagedError](err); !ok || !slices.Equal(e.Keys, []string{pace.MonthKey("lakeside")}) {
					t.Errorf("%v, want a *pace.DamagedError of the month", err)
				}
			}
			_, err = bad.Wait(t.Context(), false)
			wantMonth(err)
			_, err = bad.Pause(t.Context(), time.Millisecond)
			wantMonth(err)
			_, err = pace.ReadMonths(t.Context(), rdb, "lakeside", "hillside")
			wantMonth(err)
			send(t, other, 1)
			if hash := rdb.HGetAll(t.Context(), pace.MonthKey("lakeside")).Val(); len(pace.DamagedMonths(hash)) != 1 {
				t.Errorf("%v has %v", hash, pace.DamagedMonths(hash))
			}
			if err := rdb.HDel(t.Context(), pace.MonthKey("lakeside"), months[0].Name).Err(); err != nil {
				t.Fatal(err)
			}
			send(t, bad, 1)
		})
	}
}

// Dropped runs on the goroutine of the booker, on behalf of all senders.
func TestAPanicOfTheBookerFailsItsSendersAndTheNextOnesGoOn(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	var guarded []string
	l := pace.New(rdb, pace.Config{
		Organisation: "lakeside", Name: "dt.nickname", Limits: []pace.Limit{{Calls: 20, Per: window}},
		Dropped: func(string, string) { panic("dropped") },
		Guard: func(of string, step func() error) (err error) {
			defer func() {
				if value := recover(); value != nil {
					guarded = append(guarded, fmt.Sprint(of, ": ", value)) // read after the error
					err = errors.New("a defect")
				}
			}()
			return step()
		},
	})
	t.Cleanup(l.Close)
	send(t, l, 1)
	if err := rdb.HSet(t.Context(), pace.LaneKey("lakeside", "dt.nickname"), "pause", "abc").Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := l.Wait(ctx, false); err == nil || err.Error() != "a defect" {
		t.Errorf("Wait() = %v, want the defect", err)
	}
	if len(guarded) != 1 || !strings.Contains(guarded[0], "dropped") {
		t.Errorf("guarded: %q", guarded)
	}
	send(t, l, 1)
}
