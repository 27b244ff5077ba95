package redistest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
)

func TestEachStartsAnEmptyServerOfBothKinds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		rdb := s.Client(t)
		if n := rdb.DBSize(ctx).Val(); n != 0 {
			t.Fatalf("a fresh server holds %d keys", n)
		}
		if err := rdb.Set(ctx, "here", t.Name(), 0).Err(); err != nil {
			t.Fatal(err)
		}

		opt, err := redis.ParseURL(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		other := redis.NewClient(opt)
		defer other.Close()
		if got := other.Get(ctx, "here").Val(); got != t.Name() {
			t.Errorf("over its URL the key reads %q, want %q", got, t.Name())
		}
		if onServer := s.Mini == nil; onServer != strings.HasSuffix(t.Name(), "/redis-server") {
			t.Errorf("Mini is %v in %s", s.Mini, t.Name())
		}
	})
}

func TestAServerEndsWithItsTest(t *testing.T) { //nolint:tparallel // checks a subtest that has ended
	t.Parallel()
	ctx := t.Context()
	var addrs []string
	t.Run("inner", func(t *testing.T) {
		for _, s := range []*redistest.Server{redistest.Mini(t), redistest.Real(t)} {
			if err := s.Client(t).Set(ctx, "here", t.Name(), 0).Err(); err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, s.Addr)
		}
	})
	for _, addr := range addrs {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		defer rdb.Close()
		// Another test may have got the port since.
		if got := rdb.Get(ctx, "here").Val(); strings.HasPrefix(got, t.Name()) {
			t.Errorf("%s still answers", addr)
		}
	}
}

func TestARestartedServerHasItsDataAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.Set(t.Context(), "key", "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		s.Stop(t)
		if err := rdb.Get(t.Context(), "key").Err(); err == nil {
			t.Error("the server answers although it is stopped")
		}
		s.Start(t)
		if got, err := rdb.Get(t.Context(), "key").Result(); err != nil || got != "value" {
			t.Errorf("after the restart: %q, %v", got, err)
		}
	})
}

func TestStepSetsTheClockOfAServerAndKeysExpireByItOnARealOne(t *testing.T) {
	t.Parallel()
	redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.Set(t.Context(), "day", "", 24*time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ by, ahead time.Duration }{
			{0, 0}, {2 * time.Hour, 2 * time.Hour}, {48 * time.Hour, 50 * time.Hour}, {-51*time.Hour - 999*time.Millisecond, -time.Hour - 999*time.Millisecond},
		} {
			s.Step(step.by)
			now, err := rdb.Eval(t.Context(), "return redis.call('TIME')[1]", nil).Int64()
			if err != nil {
				t.Fatal(err)
			}
			if off := time.Until(time.Unix(now, 0)) - step.ahead; off < -time.Minute || off > time.Minute {
				t.Errorf("after %s the clock is off by %s", step.by, off)
			}
			if s.Mini == nil && step.ahead > 24*time.Hour && rdb.Exists(t.Context(), "day").Val() == 1 {
				t.Error("a key of a day is there after two days")
			}
		}
	})
}
