package handler_test

import (
	"testing"

	"rollcall/internal/handler"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

func TestEveryPartOfAGroupUpdateReachesThePlatform(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, r *rig) {
		r.must(tasks.GroupUpdate{
			Tenant: dt, ChatID: "chat1", Name: "Class 2", Owner: "bob", OwnerType: tasks.OwnerEmployee, Icon: "@media",
			AddUserIDs: []string{"cat"}, DelUserIDs: []string{"ann"}, AddExtIDs: []string{"u-guest"},
			Options: tasks.GroupOptions{
				MentionAllAuthority: new(1), ShowHistoryType: new(0), ValidationType: new(1),
				Searchable: new(0), ChatBannedType: new(1), ManagementType: new(0),
			},
		}, handler.Applied)
		r.changes(
			sandbox.Change{Field: "name", Old: "Class 1", New: "Class 2"},
			sandbox.Change{Field: "icon", New: "@media"},
			sandbox.Change{Field: "member", New: "cat"},
			sandbox.Change{Field: "member", Old: "ann"},
			sandbox.Change{Field: "external", New: "u-guest"},
			sandbox.Change{Field: "ownerType", New: "emp"},
			sandbox.Change{Field: "owner", Old: "ann", New: "bob"},
			sandbox.Change{Field: "managementOptions.mentionAllAuthority", New: "1"},
			sandbox.Change{Field: "managementOptions.showHistoryType", New: "0"},
			sandbox.Change{Field: "managementOptions.validationType", New: "1"},
			sandbox.Change{Field: "managementOptions.searchable", New: "0"},
			sandbox.Change{Field: "managementOptions.chatBannedType", New: "1"},
			sandbox.Change{Field: "managementOptions.managementType", New: "0"},
		)
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", DelExtIDs: []string{"u-guest"}}, handler.Applied)
		r.changes(sandbox.Change{Field: "external", Old: "u-guest"})
	})
}

// A newer wish for one attribute takes nothing from the others.
func TestOfAGroupUpdateOnlyThatIsSentWhichNeedsIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Icon: "@first"}, handler.Applied)
		older := tasks.GroupUpdate{
			Tenant: dt, ChatID: "chat1", Name: "older", Icon: "@first",
			Options: tasks.GroupOptions{Searchable: new(0)},
		}
		revision := r.wish(older)
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Name: "newer"}, handler.Applied)

		report, err := r.attempt(older, revision)
		if err != nil || report.Outcome != handler.Applied {
			t.Fatalf("%+v, %v", report, err)
		}
		r.changes(sandbox.Change{Field: "managementOptions.searchable", New: "0"})
		r.calls(3)
		// And when nothing is left of it, there is no call at all.
		if report, err = r.attempt(older, revision); err != nil || report.Outcome != handler.Superseded {
			t.Fatalf("%+v, %v", report, err)
		}
		r.calls(3)
	})
}

// Adding somebody is not a wish for a state: it was taken back elsewhere, so the
// same edit again is a call, and an older one still counts after a newer one.
func TestMembershipEditsAreAlwaysSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		add := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", AddUserIDs: []string{"cat"}}
		older := r.wish(add)
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", DelUserIDs: []string{"bob"}}, handler.Applied)
		if report, err := r.attempt(add, older); err != nil || report.Outcome != handler.Applied {
			t.Fatalf("the older edit: %+v, %v", report, err)
		}
		r.changes(sandbox.Change{Field: "member", New: "cat"})
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", DelUserIDs: []string{"cat"}}, handler.Applied)
		r.must(add, handler.Applied)
		r.calls(4)
	})
}
