package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/redistest"
)

func TestThePrefixOfTheLedgerAlsoSelectsTheCrash(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string][]string{
		"ledger": {
			"ledger.bytes_per_queued_task", "ledger.bytes_per_target",
			"crash.recovery_seconds", "crash.recovery_seconds.worst",
		},
		"crash":           {"crash.recovery_seconds", "crash.recovery_seconds.worst"},
		"ledger.bytes":    {"ledger.bytes_per_queued_task", "ledger.bytes_per_target"},
		"ledger.overhead": nil,
	} {
		var got []string
		for _, a := range chosenActs(options{prefix: prefix}) {
			for _, s := range slices.Concat(a...) {
				for _, name := range s.names {
					if a.asked(name, prefix) {
						got = append(got, name)
					}
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s asks for (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestBytesAreCountedOnARedisThatIsFilled(t *testing.T) {
	t.Parallel()
	redistest.Real(t) // or there is nothing to start
	const n, length = 2000, 1000
	each, err := bytesEach(t.Context(), n, func(ctx context.Context, s *store, from, to int) error {
		return together(ctx, from, to, func(ctx context.Context, i int) error {
			return s.rdb.Set(ctx, person(i), strings.Repeat("x", length), 0).Err()
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	// Redis' allocator rounds up, and a key has an overhead.
	if each < length || each > 2*length {
		t.Errorf("a value of %d bytes takes %.0f", length, each)
	}
}

func TestATargetIsSettledAsAWorkerWould(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s of a whole core: make test-long")
	}
	t.Parallel()
	redistest.Real(t)
	var out strings.Builder
	const name = "ledger.bytes_per_target"
	o := options{prefix: name, rounds: 1, quick: true}
	if err := run(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	if !printed.MatchString(out.String()) || !strings.HasPrefix(out.String(), "figure="+name+" ") {
		t.Errorf("printed:\n%s", out.String())
	}
}

func TestAStallingPlatformAnswersTheSecondCallForAUser(t *testing.T) {
	t.Parallel()
	g, err := openCheck(slidingKind, 10, time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	g.stalls = true
	_, payload, err := kinds.Encode(task(7), 1)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	const who = "user00007"
	first, hangUp := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- bareCall(first, client, g.url, payload) }()
	if _, err := g.accepted(t.Context(), who, g.now()+firstCall); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		t.Fatalf("the first call was answered: %v", err)
	default:
	}
	hangUp()
	<-answered
	if err := bareCall(t.Context(), client, g.url, payload); err != nil {
		t.Errorf("the second call: %v", err)
	}
	if at, err := g.again(t.Context(), who, g.now()+firstCall); err != nil || at != g.calls()[1].At {
		t.Errorf("the second call came at %s, %v; the platform remembers %+v", at, err, g.calls())
	}
	late := g.now()
	if at, err := g.again(t.Context(), "unknown", late); err != nil || at != late {
		t.Errorf("a call that never came counts at %s, %v, want %s", at, err, late)
	}
}

func TestAFieldOfInfoIsReadByItsWholeName(t *testing.T) {
	t.Parallel()
	const info = "# Memory\r\nused_memory_peak:9\r\nused_memory:42\r\n"
	if got, err := infoField(info, "used_memory"); err != nil || got != 42 {
		t.Errorf("used_memory is %d, %v, want 42", got, err)
	}
	if _, err := infoField(info, "connected_clients"); err == nil {
		t.Error("a field that is not there is read")
	}
}
