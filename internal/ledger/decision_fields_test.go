package ledger_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// Every pair of decisions that two fields of one task can have while the lease is
// free.
func TestATaskOfTwoFieldsEndsOnlyIfNeitherNeedsACall(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		now := rdb.Time(t.Context()).Val()
		m := moment{ms: now.UnixMilli(), rev: now.UnixMicro()}
		var each []state
		seen := map[int]bool{}
		for _, s := range states(ledger.Value) {
			if n, _ := decide(s); s.lease == "free" && !seen[n] {
				seen[n] = true
				each = append(each, s)
			}
		}
		for i, one := range each {
			for k, two := range each {
				target := cellTarget(i*len(each) + k)
				hash := cell{state: one}.before(m).Target
				for name, value := range (cell{state: two}).before(m).Target {
					hash[strings.Replace(name, ":"+field, ":second", 1)] = value
				}
				if err := rdb.HSet(t.Context(), keysOf(i*len(each)+k, ledger.Value)[0], maps.Clone(hash)).Err(); err != nil {
					t.Fatal(err)
				}
				lease, decided, err := l.Begin(t.Context(), ledger.Delivery{
					TaskID: "this", Target: target, Revision: m.rev, Row: ledger.Row{Tenant: "dt", Run: "night"},
					Fields: []ledger.Field{{Name: field, Value: wanted}, {Name: "second", Value: wanted}},
				})
				_, first := decide(one)
				_, second := decide(two)
				if diff := cmp.Diff([]ledger.Decision{word(first), word(second)}, decided); diff != "" || err != nil {
					t.Errorf("%s and %s: %v (-want +got)\n%s", first.name, second.name, err, diff)
				}
				if sends := first.sends || second.sends; sends != (lease != nil) {
					t.Errorf("%s and %s: the lease is taken: %t, want %t", first.name, second.name, lease != nil, sends)
				}
				results, err := l.ReadRun(t.Context(), target.Organisation, target.API, ledger.RunName{Tenant: "dt", Run: "night"})
				if want := resultOf(first, second); err != nil || string(results) != want {
					t.Errorf("%s and %s: the result is %q, %v; want %q", first.name, second.name, results, err, want)
				}
			}
		}
	})
}

func word(d decision) ledger.Decision {
	name, _, _ := strings.Cut(d.name, ",")
	return ledger.Decision(name)
}

// resultOf is the result of a task with these decisions; "" while it is open.
func resultOf(first, second decision) string {
	either := func(d decision) bool { return first.name == d.name || second.name == d.name }
	switch {
	case first.sends || second.sends:
		return ""
	case either(superseded):
		return "s"
	case either(settled):
		return "t"
	}
	return "u"
}
