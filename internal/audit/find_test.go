package audit_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/audit"
	"rollcall/internal/redistest"
)

// found reads all pages of n events, and returns their reasons.
func found(t *testing.T, s *redistest.Server, q audit.Query, n int) (reasons []string, pages int) {
	t.Helper()
	for from := ""; pages == 0 || from != ""; pages++ {
		events, next, err := audit.Find(t.Context(), s.Client(t), q, from, n)
		if err != nil || len(events) > n {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			reasons = append(reasons, e.Reason)
		}
		from = next
	}
	return reasons, pages
}

func TestEventsAreFoundByEventAndPersonPageByPage(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if got, pages := found(t, s, audit.Query{}, 5); len(got) != 0 || pages != 1 {
			t.Errorf("before anything happened: %v", got)
		}
		var all, replayed []string
		for i := range 1203 { // three steps
			e := audit.Event{Event: "hold.left", Level: audit.Lane, Name: "dt.id", Reason: strconv.Itoa(i), By: "worker-1"}
			if i%100 == 7 {
				e.Event, e.By = "dead.replayed", "Ann Lee"
				replayed = append([]string{e.Reason}, replayed...)
			}
			all = append([]string{e.Reason}, all...)
			if err := audit.Write(t.Context(), rdb, e); err != nil {
				t.Fatal(err)
			}
		}
		for name, c := range map[string]struct {
			query audit.Query
			want  []string
		}{
			"all":                  {audit.Query{}, all},
			"by a beginning":       {audit.Query{Event: "dead."}, replayed},
			"by a whole event":     {audit.Query{Event: "dead.replayed"}, replayed},
			"by a person":          {audit.Query{By: "ann l"}, replayed},
			"by what it concerns":  {audit.Query{About: "DT.ID", By: "Ann"}, replayed},
			"by a reason":          {audit.Query{About: "1107", Event: "dead"}, []string{"1107"}},
			"by an end of a event": {audit.Query{Event: "replayed"}, nil},
		} {
			for _, n := range []int{5, 50, 2000} {
				if len(c.want)/n > 100 { // they cost seconds, and show nothing more
					continue
				}
				got, pages := found(t, s, c.query, n)
				if diff := cmp.Diff(c.want, got); diff != "" || pages > 1+len(got)/n {
					t.Errorf("%s, pages of %d: %d pages (-want +got):\n%s", name, n, pages, diff)
				}
			}
		}
	})
}
