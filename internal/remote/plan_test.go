package remote_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A plan of many rows takes longer than a request.
func TestAPlanThatEndsBetweenTwoRequestsIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		planned bool // by the other worker
		want    int  // requests for a plan
	}{{"another worker makes it", true, 1}, {"another worker stops before it has made it", false, 2}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c := r.client()
			made, err := upload(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			key := "rollcall:api:plan:" + made.ID
			if err := r.rdb.Set(t.Context(), key, "another worker", time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			asked, elsewhere := 0, time.Time{}
			r.answered = func(req *http.Request) {
				if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/plan") {
					return
				}
				if asked++; asked > 1 {
					return
				}
				if row.planned {
					again, err := r.service.Plan(t.Context(), made.ID, nil)
					if err != nil {
						t.Error(err)
						return
					}
					elsewhere = again.Plan.At
				}
				if err := r.rdb.Del(t.Context(), key).Err(); err != nil {
					t.Error(err)
				}
			}
			got, err := c.Plan(t.Context(), made.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			if asked != row.want {
				t.Errorf("the run was planned by %d requests, want %d", asked, row.want)
			}
			if !got.Plan.At.After(made.Plan.At) || row.planned && !got.Plan.At.Equal(elsewhere) {
				t.Errorf("the plan is of %s; the one before was of %s, that of the other worker of %s", got.Plan.At, made.Plan.At, elsewhere)
			}
		})
	}
}

// A plan has no rows while it is made again; that is not an empty plan.
func TestRowsOfAPlanThatIsMadeAgainAreWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.client()
	made, err := upload(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	key := "rollcall:api:plan:" + made.ID
	if err := r.rdb.Set(t.Context(), key, "another worker", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	r.answered = func(req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/plan") {
			_ = r.rdb.Del(req.Context(), key).Err()
		}
	}
	n := 0
	for _, err := range c.Rows(t.Context(), made.ID) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 9 {
		t.Errorf("%d rows, want 9", n)
	}
}
