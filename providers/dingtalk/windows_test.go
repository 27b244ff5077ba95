package dingtalk_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"rollcall/providers"
)

// To slow down correctly, a caller must know which window was exceeded: a second's or a
// minute's. The list is taken from the vendor's documents, not from the tables.
func TestARateRefusalNamesTheExceededWindow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ended := "限制将在 2019-01-01 00:00:00 结束"
	ends := time.Now().Add(40*time.Minute).In(time.FixedZone("", 8*60*60)).Format(time.DateTime) + " 结束"
	for _, test := range []struct {
		call   func() error
		status int
		codes  []string
		want   time.Duration
	}{
		{s.setNick, 200, []string{"90018", "88/90018", "90002"}, time.Second},
		{s.setNick, 200, []string{"90005", "90006", "45009", "90003", "90004", "90001", "90007", "90019"}, 0},
		{s.rename, 403, []string{
			"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "Forbidden.AccessDenied.QpsLimitForApi",
			"Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi", "Forbidden.AccessDenied.QpsLimitForSomethingNew", "qps.exceed.limit",
		}, time.Second},
		{s.rename, 403, []string{
			"Forbidden.AccessDenied.QpmLimitForAppkeyAndApi", "Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi",
			"Forbidden.AccessDenied.QpmLimitForSomethingNew",
		}, time.Minute},
		{s.rename, 403, []string{"", "daily.call.limit", "system.busy", "request.too.fast", "Throttling.User"}, 0},
		{s.rename, 429, []string{"", "any-code"}, 0},
		{s.changeID, 403, []string{"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "qps.exceed.limit"}, time.Second},
		{s.changeID, 403, []string{"Forbidden.AccessDenied.QpmLimitForAppkeyAndApi"}, time.Minute},
		{s.changeID, 403, []string{"request.too.fast", "system.busy"}, 0},
	} {
		for _, code := range test.codes {
			for _, said := range []struct {
				header, message string
				asked           time.Duration // 0: nothing
			}{
				{"", "m", 0}, {"", ended, 0}, {"7", "m", 7 * time.Second}, {"7", ends, 7 * time.Second}, {"", ends, 40 * time.Minute},
			} {
				s.status, s.body, s.header = test.status, refusal(code, said.message), http.Header{}
				if said.header != "" {
					s.header.Set("Retry-After", said.header)
				}
				e, ok := errors.AsType[*providers.Error](test.call())
				if !ok || e.Kind != providers.Throttled || e.Period != test.want {
					t.Fatalf("HTTP %d %s: %+v; want throttled, a window of %v", s.status, s.body, e, test.want)
				}
				if test.want == 0 && said.asked == 0 {
					continue // the table says how long
				}
				if e.RetryAfter > said.asked || e.RetryAfter < said.asked*3/4 || said.asked == 0 && e.RetryAfter != 0 {
					t.Errorf("HTTP %d %s, Retry-After %q: asked for %v, want the platform's own %v", s.status, s.body, said.header, e.RetryAfter, said.asked)
				}
			}
		}
	}
}
