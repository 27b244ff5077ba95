package apicall

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds the wait that a platform can ask for. A longer ban is met again
// after an hour, at the cost of one refusal that is not metered; an absurd value would
// stop a lane permanently.
const MaxRetryAfter = time.Hour

// RetryAfter reads the Retry-After header in both its forms, bounded to
// 0..[MaxRetryAfter]. A date is measured against the answer's own Date header
// where there is one, since clocks differ, else against now. 0: no header, or
// none that can be read.
// See https://www.rfc-editor.org/rfc/rfc9110#field.retry-after.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return MaxRetryAfter // digits alone, so too many of them
		}
		return Bound(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return Bound(at.Sub(now))
}

// Bound limits a wait that a platform asked for to 0..[MaxRetryAfter].
func Bound(wait time.Duration) time.Duration { return min(max(wait, 0), MaxRetryAfter) }
