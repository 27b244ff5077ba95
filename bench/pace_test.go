package main

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/redistest"
)

const ms = time.Millisecond

func TestAWindowCountsInTheWayOfItsKind(t *testing.T) {
	t.Parallel()
	type attempt struct {
		at   time.Duration
		want bool
	}
	for kind, attempts := range map[string][]attempt{
		slidingKind: {{900 * ms, true}, {950 * ms, true}, {1899 * ms, false}, {1900 * ms, true}, {1901 * ms, false}, {1950 * ms, true}},
		fixedKind:   {{900 * ms, true}, {950 * ms, true}, {999 * ms, false}, {1000 * ms, true}, {1001 * ms, true}, {1999 * ms, false}},
		bucketKind:  {{900 * ms, true}, {900 * ms, true}, {1399 * ms, false}, {1400 * ms, true}, {1899 * ms, false}, {5000 * ms, true}, {5000 * ms, true}, {5001 * ms, false}},
	} {
		w, err := newWindow(kind, 2, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attempts {
			if got := w.take(a.at); got != a.want {
				t.Errorf("%s: two calls in a second: taken at %s: %t, want %t", kind, a.at, got, a.want)
			}
		}
	}
}

func TestALimitThatChangesHoldsFromThenOn(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{slidingKind, fixedKind, bucketKind} {
		w, err := newWindow(kind, 10, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		taken := func(from time.Duration) (n int) {
			for at := from; at < from+time.Second; at += ms {
				if w.take(at) {
					n++
				}
			}
			return n
		}
		taken(0) // a bucket is empty then
		var got []int
		for i, limit := range []int{10, 5, 10} {
			w.allow(limit)
			taken(time.Duration(2*i+1) * time.Second)
			got = append(got, taken(time.Duration(2*i+2)*time.Second))
		}
		if diff := cmp.Diff([]int{10, 5, 10}, got); diff != "" {
			t.Errorf("%s: calls in a second under limits of 10, 5 and 10 (-want +got):\n%s", kind, diff)
		}
	}
}

// tenASecond returns calls in a stretch of time.
func tenASecond(from, to time.Duration, ok bool) (c calls) {
	for at := from; at < to; at += 100 * ms {
		c = append(c, call{At: at, OK: ok})
	}
	return c
}

func TestAReturnIsTheFirstSpanWithAllItsCalls(t *testing.T) {
	t.Parallel()
	second := time.Second
	c := slices.Concat(tenASecond(0, 3*second, true), tenASecond(3*second, 5*second, false), tenASecond(5*second, 9*second, true))
	ten := func(c calls) bool { return c.accepted() >= 10 }
	if after, ok := c.since(3*second, 9*second, second, ten); !ok || after != 1950*ms {
		t.Errorf("back after %s (%t), want 1.95s", after, ok)
	}
	if after, ok := c.since(3*second, 5500*ms, second, ten); ok {
		t.Errorf("back after %s before a second of it has passed", after)
	}
	if got := c.between(second, 5*second).refused(); got != 50 {
		t.Errorf("%g %% refused, want 50", got)
	}
	if got := c.between(20*second, 30*second).refused(); got != 0 {
		t.Errorf("%g %% of no calls refused, want 0", got)
	}
}

func TestAnArrivalIsTheFirstCallThatIsAccepted(t *testing.T) {
	t.Parallel()
	c := calls{{1, false, "a"}, {2, true, "b"}, {3, true, "a"}, {4, true, "a"}}
	if diff := cmp.Diff(map[string]time.Duration{"a": 3, "b": 2}, c.arrivals()); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
}

func TestAPercentileIsOneOfTheValues(t *testing.T) {
	t.Parallel()
	values := make([]float64, 150)
	for i := range values {
		values[i] = float64(150 - i)
	}
	for p, want := range map[float64]float64{0: 1, 50: 75, 99: 149, 100: 150} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %g of 1 to 150 is %g, want %g", p, got, want)
		}
	}
}

func TestSmallValuesHaveMoreDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0.9514: "0.951", 9.5: "9.500", 12.34: "12.3"} {
		if got := digits(v); got != want {
			t.Errorf("%g is printed as %s, want %s", v, got, want)
		}
	}
}

func TestProcessorTimeIsReadForAnyProcessName(t *testing.T) {
	t.Parallel()
	got, err := parseStat("4242 (a) b) S 1 4242 4242 0 -1 4194304 900 0 0 0 150 50 0 0 20 0 8 0 100 0 0\n")
	if err != nil || got != 2*time.Second {
		t.Errorf("processor time %s, %v, want 2s", got, err)
	}
	if _, err := parseStat("4242 (short) S"); err == nil {
		t.Error("a line that ends early is read")
	}
}

func TestACallTooManyIsAnsweredAsDingTalkDoes(t *testing.T) {
	t.Parallel()
	g, err := openCheck(bucketKind, 1, time.Hour, true)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	_, payload, err := kinds.Encode(task(7), 1)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if err := bareCall(t.Context(), client, g.url, payload); err != nil {
		t.Fatalf("the first call: %v", err)
	}
	refused, ok := errors.AsType[*answerError](bareCall(t.Context(), client, g.url, payload))
	if !ok || refused.code != 88 || refused.sub != "90018" {
		t.Errorf("the second call is answered %v, want errcode 88 and sub_code 90018", refused)
	}
	if judged := g.calls(); len(judged) != 2 || judged[0].who != "user00007" || judged.accepted() != 1 {
		t.Errorf("the platform remembers %+v", judged)
	}
}

func TestAProcessThatEndsEndsItsSideWithTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	ctx, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	log := filepath.Join(t.TempDir(), "worker0.log")
	if _, err := startProcess(exec.CommandContext(ctx, "sh", "-c", "echo out of order >&2; exit 3"), log, fail); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	for _, want := range []string{"worker0.log", "exit status 3", "out of order"} {
		if cause := context.Cause(ctx).Error(); !strings.Contains(cause, want) {
			t.Errorf("the side ends with %q, which does not say %q", cause, want)
		}
	}
}

func TestEveryFigureHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, a := range paceActs(quickTempo()) {
		for _, s := range slices.Concat(a...) {
			for _, name := range s.names {
				if seen[name] || !strings.HasPrefix(name, "pace.") {
					t.Errorf("%s is there twice, or is not named after what it judges", name)
				}
				seen[name] = true
			}
		}
	}
	one := paceActs(quickTempo())[0].chosen("pace.refused.sliding.8w")
	if len(one) != 1 || len(one[0]) != 1 {
		t.Errorf("the name of one figure chooses %d tracks", len(one))
	}
}

func TestASceneRunsBothSidesAndPrintsTheSelectedFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s of a whole core: make test-long")
	}
	t.Parallel()
	redistest.Real(t) // or there is nothing to start
	var out strings.Builder
	const name = "pace.goodput.sliding.4w.killed"
	if err := run(t.Context(), &out, options{prefix: name, rounds: 1, quick: true}); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(out.String()))
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "figure="+name+" ") || !printed.MatchString(lines[0]) {
		t.Errorf("printed:\n%s", out.String())
	}
}
