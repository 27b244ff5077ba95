package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sample has ten calls a second on our side and, on the peer's, as many again
// that are refused. Two seconds of ten are drawn.
func sample(kind string) trace {
	const end = 10 * time.Second
	peer := slices.Concat(tenASecond(0, end, true), tenASecond(0, end, false))
	slices.SortStableFunc(peer, func(a, b call) int { return int(a.At - b.At) })
	return trace{
		Window: kind, Calls: 20, Per: time.Second, Processes: 4, Length: 2 * time.Second,
		Ours: stretch{From: 3 * time.Second, Calls: tenASecond(0, end, true)},
		Peer: stretch{From: 5 * time.Second, Calls: peer},
	}
}

// classes counts the elements of a drawing by class.
func classes(t *testing.T, drawing string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(drawing))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
		if element, ok := token.(xml.StartElement); ok {
			for _, a := range element.Attr {
				if a.Name.Local == "class" {
					count[a.Value]++
				}
			}
		}
	}
}

func TestADrawingMarksEachCallOfTheExcerpt(t *testing.T) {
	t.Parallel()
	for kind, axis := range map[string]string{
		slidingKind: "accepted in the last 1s", fixedKind: "accepted in this 1s", bucketKind: "tokens left",
	} {
		drawing, err := sample(kind).plot()
		if err != nil {
			t.Fatal(err)
		}
		count := classes(t, drawing)
		got := map[string]int{"ok": count["ok"], "no": count["no"], "level": count["level"], "limit": count["limit"]}
		if diff := cmp.Diff(map[string]int{"ok": 40, "no": 20, "level": 2, "limit": 2}, got); diff != "" {
			t.Errorf("%s: marks (-want +got):\n%s", kind, diff)
		}
		for _, want := range []string{axis, "20 calls accepted, 20 refused", "seconds"} {
			if !strings.Contains(drawing, want) {
				t.Errorf("%s: the drawing does not say %q", kind, want)
			}
		}
	}
}

// Ten calls per second fill half of a sliding window of twenty from the start of the
// excerpt: earlier calls count.
func TestTheLevelCountsCallsBeforeTheExcerpt(t *testing.T) {
	t.Parallel()
	drawing, err := sample(slidingKind).plot()
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(drawing, `class="level" d="`)
	if want := "M56.0 137.0"; !strings.HasPrefix(path, want) {
		t.Errorf("the level begins with %.20q, want %q: the middle of the panel", path, want)
	}
}

func TestARunCanBeDrawnAgainFromItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := sample(fixedKind)
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "fixed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got trace
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(call{})); diff != "" {
		t.Errorf("a run that was saved (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "fixed.svg")); err != nil {
		t.Error(err)
	}
}
