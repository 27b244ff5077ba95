package api

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/table"
)

// Limits bound what the API of one worker accepts. Zero values are replaced by the
// defaults.
type Limits struct {
	// Rows is the largest body of rows, in bytes. 0: 512 MiB.
	Rows int64
	// PerSecond is how many requests of a token are accepted each second, and Burst how
	// many at once. 0: 1,000 and as many as PerSecond.
	PerSecond float64
	Burst     int
	// Uploads is how many bodies of rows are read and stored at the same time. 0: 8.
	Uploads int
	// Waiting is how many requests may wait for a change of state. 0: 200.
	Waiting int
}

const (
	// maxBody bounds a body of JSON, in bytes.
	maxBody = 1 << 20
	// mostTokens bounds the tokens whose requests are counted.
	mostTokens = 10_000
)

func (l Limits) withDefaults() Limits {
	l.Rows, l.Uploads, l.Waiting = cmp.Or(l.Rows, table.MaxSize), cmp.Or(l.Uploads, 8), cmp.Or(l.Waiting, 200)
	l.PerSecond = cmp.Or(l.PerSecond, 1000)
	l.Burst = cmp.Or(l.Burst, max(1, int(l.PerSecond)))
	return l
}

// rates counts the requests of each token.
type rates struct {
	limit rate.Limit
	burst int

	mu     sync.Mutex
	tokens map[string]*rate.Limiter
}

func newRates(l Limits) *rates {
	return &rates{limit: rate.Limit(l.PerSecond), burst: l.Burst, tokens: map[string]*rate.Limiter{}}
}

// take counts a request, and reports whether it is within the limit. It sets the RateLimit
// headers (draft-ietf-httpapi-ratelimit-headers-11).
func (r *rates) take(h http.Header, token string, now time.Time) bool {
	r.mu.Lock()
	l := r.tokens[token]
	if l == nil {
		if len(r.tokens) >= mostTokens {
			clear(r.tokens)
		}
		l = rate.NewLimiter(r.limit, r.burst)
		r.tokens[token] = l
	}
	r.mu.Unlock()
	ok := l.AllowN(now, 1)
	left := max(0, l.TokensAt(now))
	full := int(math.Ceil((float64(r.burst) - left) / float64(r.limit)))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"token";q=%d;w=%d`, r.burst, max(1, int(math.Ceil(float64(r.burst)/float64(r.limit))))))
	h.Set("RateLimit", fmt.Sprintf(`"token";r=%d;t=%d`, int(left), full))
	if !ok {
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(1/float64(r.limit))))))
	}
	return ok
}
