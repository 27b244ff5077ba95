package metrics_test

import (
	"strconv"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/metrics"
	"rollcall/internal/redistest"
)

func TestDeadLettersAreCountedByLaneAndClass(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for i, of := range []ledger.DeadLetter{
			{Class: "rejected", Code: "1"}, {Class: "rejected", Code: "2"}, {Class: "archived"}, {Class: "of 2031"}, {Class: "rejected", Lane: "other.nickname"},
		} {
			of.ID = strconv.Itoa(i)
			if of.Lane == "" {
				of.Lane = laneName
			}
			if _, err := l.AddDeadLetter(t.Context(), of); err != nil {
				t.Fatal(err)
			}
		}
		m := measured(t, s, metrics.Config{})
		expect(t, m, `
			rollcall_dead_letters{class="rejected",lane="lakeside-dt.nickname"} 2
			rollcall_dead_letters{class="archived",lane="lakeside-dt.nickname"} 1
			rollcall_dead_letters{class="other",lane="lakeside-dt.nickname"} 1
			rollcall_dead_letters{class="busy",lane="lakeside-dt.nickname"} 0
			rollcall_dead_letters_read 1
		`, `lane="other.nickname"`)
	})
}

func TestWithoutRedisNoDeadLettersAreCounted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		m := measured(t, s, metrics.Config{})
		s.Stop(t)
		expect(t, m, `
			rollcall_dead_letters_read 0
		`, "rollcall_dead_letters{")
		s.Start(t)
	})
}
