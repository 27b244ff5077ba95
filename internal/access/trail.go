package access

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Change is a request that changed something.
type Change struct {
	Token, Method, Path string
	Client              netip.Addr
	Status              int
}

const (
	// recordFor bounds how long a change is being recorded.
	recordFor = 2 * time.Second
	// countFor is how often counted changes are recorded.
	countFor = time.Minute
	// longestPath bounds a path in the record, in bytes.
	longestPath = 200
)

// Trail is the audit log of the API. Requests that add tasks or rows come by the thousand:
// they are counted, and recorded once a minute by token. Each other change has its own
// entry. Its methods are safe for concurrent use.
type Trail struct {
	// Write writes an entry. It must not block for long. Required.
	Write func(ctx context.Context, token, what string) error
	// Log receives the changes, too. Required.
	Log *slog.Logger

	mu     sync.Mutex
	counts map[counted]int
}

type counted struct{ token, what string }

// Record records a change.
func (t *Trail) Record(ctx context.Context, c Change) {
	what := fmt.Sprintf("%s %.*s", c.Method, longestPath, c.Path)
	if c.Method == http.MethodPost && (strings.HasSuffix(c.Path, "/tasks") || strings.HasSuffix(c.Path, "/rows")) {
		t.Log.Debug("changed through the API", "token", c.Token, "address", c.Client, "what", what, "status", c.Status)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.counts == nil {
			t.counts = map[counted]int{}
		}
		t.counts[counted{c.Token, what}]++
		return
	}
	t.Log.Info("changed through the API", "token", c.Token, "address", c.Client, "what", what, "status", c.Status)
	t.write(ctx, c.Token, what)
}

// Run records what was counted, every minute and when ctx ends.
func (t *Trail) Run(ctx context.Context) {
	ticker := time.NewTicker(countFor)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			t.flush(ctx)
			return
		case <-ticker.C:
			t.flush(ctx)
		}
	}
}

func (t *Trail) flush(ctx context.Context) {
	t.mu.Lock()
	counts := t.counts
	t.counts = nil
	t.mu.Unlock()
	order := func(a, b counted) int { return strings.Compare(a.token+"\n"+a.what, b.token+"\n"+b.what) }
	for _, c := range slices.SortedFunc(maps.Keys(counts), order) {
		what := fmt.Sprintf("%s, %d requests within a minute", c.what, counts[c])
		t.Log.Info("changed through the API", "token", c.token, "what", what)
		t.write(ctx, c.token, what)
	}
}

func (t *Trail) write(ctx context.Context, token, what string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor)
	defer cancel()
	if err := t.Write(ctx, token, what); err != nil {
		t.Log.Warn("change through the API not among the events", "token", token, "what", what, "err", err)
	}
}
