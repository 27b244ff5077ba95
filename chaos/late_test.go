package main

import (
	"slices"
	"testing"
	"time"

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
	again, may, once := ledger.Event{Did: ledger.DidResend}, ledger.Event{Late: true}, ledger.Event{}
	for _, row := range []struct {
		history []ledger.Event
		want    bool
	}{
		{[]ledger.Event{again, once, may}, false},
		{[]ledger.Event{again, again, may, may}, false},
		{[]ledger.Event{again, once}, true},
		{[]ledger.Event{again, again, may}, true},
		{slices.Repeat([]ledger.Event{again}, effectsKept), false}, // older events are not kept
	} {
		c := newCourse(t)
		c.ev.history = map[ledger.Target][]ledger.Event{c.changes[0].target: row.history}
		if got := slices.Contains(rules(consult(c.ev, c.changes, late)), ruleResent); got != row.want {
			t.Errorf("%+v: a violation is found: %t, want %t", row.history, got, row.want)
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
