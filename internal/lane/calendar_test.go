package lane_test

import (
	"sync"
	"testing"
	"time"

	"rollcall/internal/redistest"
)

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// calendar is the clock of a miniredis, set to the middle of a future month.
type calendar struct {
	server *redistest.Server
	mu     sync.Mutex
	now    time.Time
}

// runs advances the clock until the test ends.
func runs(t *testing.T, s *redistest.Server) *calendar {
	t.Helper()
	y, m, _ := time.Now().In(shanghai).Date()
	c := &calendar{server: s, now: time.Date(y, m+1, 15, 12, 0, 0, 0, shanghai)}
	s.Mini.SetTime(c.now)
	ticker, last := time.NewTicker(5*time.Millisecond), time.Now()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				c.pass(now.Sub(last))
				last = now
			}
		}
	}()
	t.Cleanup(func() { ticker.Stop(); close(done); <-stopped })
	return c
}

func (c *calendar) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.server.Mini.SetTime(c.now)
}

// turn moves the clock on into the next month.
func (c *calendar) turn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	y, m, _ := c.now.Date()
	c.now = time.Date(y, m+1, 1, 0, 0, 0, 0, shanghai)
	c.server.Mini.SetTime(c.now)
}
