package demo

import (
	"cmp"
	"fmt"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// Who is special among those whose DingTalk ID changes.
const (
	lockedID       = 3  // set three months ago
	takenButSpare  = 5  // the wanted ID is taken, an alternative is free
	taken          = 7  // the wanted ID is taken and there is no alternative
	privateAccount = 9  // not the organisation's to change
	idCut          = 11 // the answer is lost after the platform acted
	idBusy         = 12 // the platform says busy; the outcome is unknown
	idChanges      = 12
)

var ids = sample{
	requests: func() []tasks.Request {
		var all []tasks.Request
		for n := 1; n <= idChanges; n++ {
			change := tasks.IDChange{Tenant: DingTalk, UserID: userID(n), DingTalkID: fmt.Sprintf("lakeside%03d", n)}
			if n == takenButSpare {
				change.Alternatives = []string{"lakeside007", "lakesideSchool005"}
			}
			all = append(all, tasks.Request{Task: change, Options: tasks.Options{Urgent: n == 1}})
		}
		return all
	},
	believe: func(b Believed, org sandbox.Organisation) {
		for _, e := range org.Employees {
			b["id "+e.UserID] = e.DingTalkID
		}
	},
	wants: func(o Outcome) Believed {
		t, ok := o.Task.(tasks.IDChange)
		if !ok {
			return nil
		}
		return Believed{"id " + t.UserID: cmp.Or(o.Took, t.DingTalkID)}
	},
}
