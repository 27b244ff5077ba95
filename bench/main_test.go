package main

import (
	"context"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
)

// This binary is the peer's process as well, as the bench's own is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && slices.Contains([]string{bareArgument, fileArgument, apiPeerArgument, nightArgument, pageArgument}, os.Args[1]) {
		if err := command(context.Background(), os.Args[1:]); err != nil {
			log.Fatal(err)
		}
		return
	}
	redistest.Main(m)
}

var printed = regexp.MustCompile(`^figure=\S+ ours=\d+\.\d+ peer=\d+\.\d+ ratio=\S+ unit=\S+ peer_is="[^"]+"\n$`)

// The test checks that the figures are measured, not how fast they are.
func TestFiguresPrintTheirLines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s of a whole core: make test-long")
	}
	t.Parallel()
	redistest.Real(t) // or there is nothing to start
	for _, name := range []string{"enqueue.one", "ledger.overhead"} {
		var out strings.Builder
		if err := run(t.Context(), &out, options{prefix: name, rounds: 1}); err != nil {
			t.Fatal(err)
		}
		if !printed.MatchString(out.String()) || !strings.HasPrefix(out.String(), "figure="+name+" ") {
			t.Errorf("%s prints %q", name, out.String())
		}
	}
}

func TestThePrefixOfRunsAlsoSelectsEnqueueAll(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range figures() {
		if f.asked(runPrefix) {
			got = append(got, f.name)
		}
	}
	for _, a := range chosenActs(options{prefix: runPrefix}) {
		for _, s := range slices.Concat(a...) {
			got = append(got, s.names...)
		}
	}
	want := []string{
		"enqueue.bulk", "enqueue.bulk_far", "run.bytes_per_waiting_row", "run.bytes_per_finished_row",
		"run.upload_and_plan_seconds", "run.upload_and_plan_mib", "run.goodput",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the figures of runs (-want +got):\n%s", diff)
	}
}

func TestANameThatNoFigureBeginsWithIsAnError(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), &strings.Builder{}, options{prefix: "nonsense", rounds: 1}); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("error %v", err)
	}
}
