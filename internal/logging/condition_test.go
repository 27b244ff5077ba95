package logging_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/logging"
)

// conditions returns a logger without times, and a function that returns what was
// logged since its last call.
func conditions() (*slog.Logger, func() []string) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return log, func() []string {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		out.Reset()
		return lines
	}
}

func TestAConditionIsLoggedOncePerState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := conditions()
		c := logging.Condition{Log: log, Level: slog.LevelWarn, Began: "redis unavailable", Ended: "redis available again"}
		for range 100 {
			c.Begin("loading", "fault", "loading")
			<-time.After(100 * time.Millisecond)
			c.Begin("out_of_memory", "fault", "out_of_memory")
		}
		c.End()
		c.End()
		c.Begin("loading", "fault", "loading")
		want := []string{
			`level=WARN msg="redis unavailable" fault=loading`,
			`level=WARN msg="redis unavailable" fault=out_of_memory`,
			`level=INFO msg="redis available again" after=10s times=200`,
			`level=WARN msg="redis unavailable" fault=loading`,
		}
		if diff := cmp.Diff(want, lines()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAConditionThatLastsIsLoggedAgainWithItsDuration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := conditions()
		c := logging.Condition{Log: log, Began: "redis unavailable", Ended: "redis available again"}
		for range 11 * 60 {
			c.Begin("", "fault", "loading")
			<-time.After(time.Second)
		}
		want := []string{
			`level=INFO msg="redis unavailable" fault=loading`,
			`level=INFO msg="redis unavailable" fault=loading for=5m0s times=301`,
			`level=INFO msg="redis unavailable" fault=loading for=10m0s times=601`,
		}
		if diff := cmp.Diff(want, lines()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAnIntermittentConditionCountsAsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := conditions()
		all := logging.Conditions{Log: log}
		for range 100 {
			all.Of("not swept", "swept again").Begin("")
			all.Of("not swept", "swept again").End()
			<-time.After(5 * time.Second)
		}
		all.Of("not swept", "swept again").End()
		<-time.After(5 * time.Second)
		all.Of("not swept", "swept again").End()
		want := []string{
			`level=WARN msg="not swept"`,
			`level=WARN msg="not swept" for=5m0s times=61`,
			`level=INFO msg="swept again" after=8m15s times=100`,
		}
		if diff := cmp.Diff(want, lines()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAConditionWithoutAnEndBeginsAgainAfterSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := conditions()
		all := logging.Conditions{Log: log}
		for range 3 {
			for range 100 {
				all.Of("dequeue error", "").Begin("", "err", "EOF")
				<-time.After(100 * time.Millisecond)
			}
			<-time.After(time.Minute)
		}
		want := []string{
			`level=WARN msg="dequeue error" err=EOF`, `level=WARN msg="dequeue error" err=EOF`, `level=WARN msg="dequeue error" err=EOF`,
		}
		if diff := cmp.Diff(want, lines()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// Another key is damaged all the time: the condition lasts. A key that was repaired and is
// damaged again gets another line.
func TestAStateThatIsFoundAgainAfterSilenceIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := conditions()
		all := logging.Conditions{Log: log}
		for second := range 150 {
			if second == 0 || second == 100 || second == 140 {
				all.Of("damaged", "").Begin("a", "key", "a")
			}
			all.Of("damaged", "").Begin("b", "key", "b")
			<-time.After(time.Second)
		}
		want := []string{`level=WARN msg=damaged key=a`, `level=WARN msg=damaged key=b`, `level=WARN msg=damaged key=a`}
		if diff := cmp.Diff(want, lines()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
