package logging_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/logging"
)

func TestAPanicInAStepIsLoggedWithItsStackAndReturned(t *testing.T) {
	t.Parallel()
	log, lines := conditions()
	all := logging.Conditions{Log: log}
	for range 3 {
		err := all.Guard("sweep", func() error { panic("index out of range") })
		if err == nil || !strings.Contains(err.Error(), "panic in sweep: index out of range") {
			t.Errorf("returned: %v", err)
		}
	}
	got := lines()
	if len(got) != 1 || !strings.Contains(got[0], "level=ERROR") || !strings.Contains(got[0], "guard_test.go") {
		t.Errorf("logged:\n%s", strings.Join(got, "\n"))
	}
	fault := errors.New("fault")
	if err := all.Guard("sweep", func() error { return fault }); !errors.Is(err, fault) {
		t.Errorf("without a panic: %v", err)
	}
}

func TestAGoroutineThatPanicsRunsAgainUntilItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, _ := conditions()
		all := logging.Conditions{Log: log}
		runs := 0
		all.Restart(t.Context(), "expiry", func(context.Context) {
			if runs++; runs < 3 {
				panic("damaged")
			}
		})
		if runs != 3 {
			t.Errorf("it ran %d times, want 3: once more after each panic", runs)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		all.Restart(ctx, "expiry", func(context.Context) { panic("damaged") })
		if ctx.Err() == nil {
			t.Error("it was given up before its context ended")
		}
	})
}
