package pace_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// deaf is a hook that lets Redis execute the next script but loses its answer.
type deaf struct{ next atomic.Bool }

var errLost = errors.New("the answer was lost by the test")

func (d *deaf) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deaf) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && cmd.Name() == "evalsha" && d.next.CompareAndSwap(true, false) {
			cmd.SetErr(errLost)
			return errLost
		}
		return err
	}
}

func (d *deaf) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Slots whose booking was not answered are lost to the lane and to the month, and are
// given to no other sender: too few calls leave, never too many.
func TestABookingWhoseAnswerIsLostCostsOnlyItsSlots(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		line := &deaf{}
		rdb.AddHook(line)
		l := pace.New(rdb, pace.Config{Organisation: "lakeside", Name: "dt.nickname", Limits: twenty, Metered: true})
		t.Cleanup(l.Close)
		first, err := l.Wait(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		line.next.Store(true)
		if _, err := l.Wait(t.Context(), false); !errors.Is(err, errLost) {
			t.Fatalf("Wait() = %v, want the error", err)
		}
		next, err := l.Wait(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if apart := next.Time() - first.Time(); apart < 2*twenty[0].Interval()-time.Microsecond {
			t.Errorf("the next slot is %s after the first: the lost one was granted again", apart)
		}
		spent(t, s, 3)
	})
}
