package main

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// An old name, of which the record says that its outcome is unknown.
func TestOnlyTheVariantLateAcceptsNoUnknownOutcomeOfANickname(t *testing.T) {
	t.Parallel()
	for _, variant := range variants {
		c := newCourse(t)
		c.chat().Members[0].Nick = "old"
		for _, w := range c.changes {
			if w.target.API == string(tasks.KindNickname) {
				c.ev.records[w.target] = map[string]string{"d:nickname": "1"}
			}
		}
		if got := slices.Contains(rules(consult(c.ev, c.changes, variant)), ruleValue); got != (variant == late) {
			t.Errorf("%s: a violation is found: %t", variant, got)
		}
	}
}

func TestAMemberMayBeWrongIfTheRecordSaysThatARequestMayLandLate(t *testing.T) {
	t.Parallel()
	for variant, want := range map[string]bool{always: true, gateway: true, late: false} {
		c := newCourse(t)
		c.chat().Members = append(c.chat().Members, sandbox.Member{UserID: "cat"})
		for _, w := range c.changes {
			if w.target.API == string(tasks.KindGroup) {
				c.ev.records[w.target] = map[string]string{"q:members": "1"}
			}
		}
		if got := slices.Contains(rules(consult(c.ev, c.changes, variant)), ruleMember); got != want {
			t.Errorf("%s: a violation is found: %t, want %t", variant, got, want)
		}
	}
}

func TestATargetIsSentAgainAtMostOnceForEachSettleThatMayBeOverwritten(t *testing.T) {
	t.Parallel()
	const again, may, once = `1 {"did":"resend"}`, `1 {"late":true}`, `1 {}`
	for _, row := range []struct {
		history history
		want    bool
	}{
		{history{entries: []string{may, once, again}}, false},
		{history{entries: []string{may, may, again, again}}, false},
		{history{entries: []string{once, again}}, true},
		{history{entries: []string{may, again, again}}, true},
		{history{entries: []string{once, again}, gap: true}, false},
		{history{entries: []string{may, "1 {"}}, true},
	} {
		c := newCourse(t)
		c.ev.history = map[ledger.Target]history{c.changes[0].target: row.history}
		if got := slices.Contains(rules(consult(c.ev, c.changes, late)), ruleResent); got != row.want {
			t.Errorf("%+v: a violation is found: %t", row.history, got)
		}
	}
}

// The ledger keeps ten entries, newest first.
func TestAHistoryIsCollectedFromListsThatOverlap(t *testing.T) {
	t.Parallel()
	list := func(from, to int) (entries []string) {
		for n := from; n >= to; n-- {
			entries = append(entries, strconv.Itoa(n))
		}
		return entries
	}
	for name, test := range map[string]struct {
		lists [][]string
		want  int
		gap   bool
	}{
		"overlapping":          {[][]string{nil, list(3, 1), list(3, 1), list(12, 3), list(13, 4)}, 13, false},
		"ten before the first": {[][]string{list(10, 1)}, 10, true},
		"ten in between":       {[][]string{list(2, 1), list(12, 3)}, 12, true},
	} {
		var h history
		for _, l := range test.lists {
			h.add(l)
		}
		want := list(test.want, 1)
		slices.Reverse(want)
		if diff := cmp.Diff(want, h.entries); diff != "" || h.gap != test.gap {
			t.Errorf("%s: gap %t, entries (-want +got):\n%s", name, h.gap, diff)
		}
	}
}

func TestLateRequestsStrikeAllCallsButTheTokensAndLandWithinTheWait(t *testing.T) {
	t.Parallel()
	share := map[string]float64{}
	for _, f := range faults(late) {
		if f.Lands > 0 {
			share[f.API] += f.Share
		}
		if f.Lands > landsWithin || landsWithin >= lateRest-10*time.Second {
			t.Errorf("%+v may land after the wait", f)
		}
	}
	if len(share) != 4 || share[sandbox.APIToken] > 0 || share[sandbox.APIGroupNick] != 0.003 {
		t.Errorf("shares %v", share)
	}
}
