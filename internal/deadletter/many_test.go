package deadletter_test

import (
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

var many = flag.Int("letters", 1000, "number of dead letters in TestManyLetters…; docs/dead-letters.md has the figures for 50,000")

// heap is the live heap, and its largest size at the ends of pages, in bytes.
type heap struct{ before, most uint64 }

func (h *heap) look() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if h.before == 0 {
		h.before = m.HeapAlloc
	}
	h.most = max(h.most, m.HeapAlloc)
}

// grown returns how much the heap grew, in bytes.
func (h *heap) grown() int64 { return int64(h.most) - int64(h.before) }

// used returns Redis' memory use, in bytes.
func (o *office) used() (n int64) {
	info := o.rdb.Info(o.t.Context(), "memory").Val()
	_, after, _ := strings.Cut(info, "used_memory:")
	_, _ = fmt.Sscan(after, &n)
	return n
}

// Memory holds one page and the buffers of the connections, for any number of dead
// letters: 50,000 of them would be many times the bound. The test does not run in
// parallel, because all tests share the heap.
func TestManyLettersAreListedAndReplayedByCauseInBoundedMemory(t *testing.T) {
	s := redistest.Real(t)
	o := open(t, s)
	n := *many
	classes := []string{"busy", "rejected"}
	start, empty := time.Now(), o.used()
	for i := range n {
		if _, err := o.ledger.AddDeadLetterOnce(t.Context(), record(t, "dt", fmt.Sprint("t", i), i/100, classes[i%2], strconv.Itoa(i%5))); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d dead letters written in %v, %d bytes of Redis each", n, time.Since(start), (o.used()-empty)/int64(n))

	var h heap
	h.look()
	start = time.Now()
	seen, page := make([]bool, n), 0
	err := o.service.Each(t.Context(), deadletter.Filter{}, func(dead []ledger.DeadLetter) error {
		for _, l := range dead {
			var i int
			if _, err := fmt.Sscanf(l.ID, "t%d", &i); err != nil || seen[i] {
				return fmt.Errorf("dead letter %s: %w, seen before %t", l.ID, err, seen[i])
			}
			seen[i] = true
		}
		if page++; page%50 == 0 {
			h.look()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range seen {
		if !ok {
			t.Fatalf("dead letter t%d is missing", i)
		}
	}
	t.Logf("read in %v, the heap grew by %d KB", time.Since(start), h.grown()/1024)

	start = time.Now()
	causes, err := o.service.Causes(t.Context(), deadletter.Filter{})
	if err != nil || len(causes) != 10 {
		t.Fatalf("%d causes, %v", len(causes), err)
	}
	latest, err := o.service.Latest(t.Context(), deadletter.Filter{}, 20)
	if err != nil || len(latest) != 20 {
		t.Fatalf("%d newest, %v", len(latest), err)
	}
	t.Logf("listed by cause, and the newest 20, in %v", time.Since(start))

	start = time.Now()
	replayed := 0
	err = o.service.Each(t.Context(), deadletter.Filter{Class: "busy"}, func(dead []ledger.DeadLetter) error {
		for _, one := range o.service.Replay(t.Context(), dead) {
			if one.Outcome != deadletter.Replayed {
				return fmt.Errorf("%s: %s: %w", one.DeadLetter.ID, one.Outcome, one.Err)
			}
			replayed++
		}
		if page++; page%50 == 0 {
			h.look()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	left, err := o.service.Count(t.Context(), deadletter.Filter{})
	pending := o.rdb.LLen(t.Context(), backlog.Key("dt.nickname", "pending")).Val()
	if err != nil || replayed != (n+1)/2 || left != int64(n/2) || pending != int64(replayed) {
		t.Errorf("%d replayed, %d pending, %d dead letters left, %v", replayed, pending, left, err)
	}
	t.Logf("%d replayed in %v, the heap grew by %d KB", replayed, time.Since(start), h.grown()/1024)
	if grown := h.grown(); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
