package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/internal/sandbox"
)

// ids checks that no user's ID is changed twice, and that no second candidate is sent
// for a user while the first may have been applied.
func (o *oracle) ids() {
	effects := map[string]int{}
	for _, e := range o.effects {
		for _, c := range e.Changes {
			if c.Field == "dingTalkId" {
				effects[e.Target.User]++
			}
		}
	}
	for user, n := range effects {
		if n > 1 {
			o.blame(ruleEffectID, "%s: an ID took hold %d times", user, n)
		}
	}
	calls := map[string][]sandbox.Call{}
	for _, c := range o.calls {
		if c.API == sandbox.APIChangeID && c.Target.User != "" {
			calls[c.Target.User] = append(calls[c.Target.User], c)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(calls)) {
		of := calls[user]
		slices.SortFunc(of, func(a, b sandbox.Call) int { return int(a.Number - b.Number) })
		o.candidates(user, of)
	}
}

// candidates looks at all calls for one person in the order of their arrival.
func (o *oracle) candidates(user string, calls []sandbox.Call) {
	var hanging *sandbox.Call // the last one that may have been applied
	for i, c := range calls {
		switch {
		case hanging != nil && c.Target.WantedID != hanging.Target.WantedID && o.alone:
			o.excused["users with a second ID, because Redis lost the first"]++
			return
		case hanging != nil && c.Target.WantedID != hanging.Target.WantedID:
			o.blame(ruleSecondID, "%s was sent %s (call %d), and %s before (call %d), which %s%s", user,
				c.Target.WantedID, c.Number, hanging.Target.WantedID, hanging.Number, became(*hanging), story(calls))
			return
		case !answeredCleanly(c):
			hanging = &calls[i]
		// The ID belonged to another user all the time.
		case hanging != nil && c.Code == "incorrect.reserved" && hanging.Effect == 0:
			hanging = nil
		}
	}
}

func became(c sandbox.Call) string {
	switch {
	case c.Effect != 0 && c.Code != "":
		return "took hold and was answered so"
	case c.Effect != 0:
		return "took hold, and the answer was lost"
	}
	return "did not take hold, which the answer does not say"
}

func story(calls []sandbox.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "\n      %s call %d: %s, status %d, code %q, fault %q, effect %d",
			c.Time.Format("15:04:05.000"), c.Number, c.Target.WantedID, c.Status, c.Code, c.Fault, c.Effect)
	}
	return b.String()
}
