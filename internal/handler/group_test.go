package handler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/providers"
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

// A later change of one attribute does not affect the others.
func TestAGroupUpdateSendsOnlyTheAttributesThatNeedACall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Icon: "@first"}, handler.Applied)
		older := tasks.GroupUpdate{
			Tenant: dt, ChatID: "chat1", Name: "older", Icon: "@first",
			Options: tasks.GroupOptions{Searchable: new(0)},
		}
		revision := r.requestChange(older)
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Name: "newer"}, handler.Applied)

		report, err := r.attempt(older, revision)
		if err != nil || report.Outcome != handler.Applied {
			t.Fatalf("%+v, %v", report, err)
		}
		r.changes(sandbox.Change{Field: "managementOptions.searchable", New: "0"})
		r.calls(3)
		// If no attribute is left to send, no call is made.
		if report, err = r.attempt(older, revision); err != nil || report.Outcome != handler.Superseded {
			t.Fatalf("%+v, %v", report, err)
		}
		r.calls(3)
	})
}

// Adding a member is not a desired state: another edit may have removed the member
// since, so the same edit again is a call. The last edit wins.
func TestMembershipEditsAreAlwaysSentAndKeepTheirOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		add := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", AddUserIDs: []string{"cat"}}
		remove := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", DelUserIDs: []string{"cat"}}
		first, second := r.requestChange(add), r.requestChange(remove)
		_, err := r.attempt(remove, second)
		if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.Before != 1 {
			t.Fatalf("the second edit before the first: %v", err)
		}
		for _, edit := range []struct {
			task     tasks.GroupUpdate
			revision int64
		}{{add, first}, {remove, second}} {
			if report, err := r.attempt(edit.task, edit.revision); err != nil || report.Outcome != handler.Applied {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		r.changes(sandbox.Change{Field: "member", Old: "cat"})
		r.must(add, handler.Applied)
		// Delivered again, neither of the first two edits is sent.
		for _, revision := range []int64{first, second} {
			if report, err := r.attempt(add, revision); err != nil || report.Outcome != handler.Settled {
				t.Errorf("%+v, %v, want settled", report, err)
			}
		}
		r.calls(3)
	})
}

// A name does not wait for an edit.
func TestAWaitingEditDoesNotDelayAttributes(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, r *rig) {
		r.requestChange(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", AddUserIDs: []string{"cat"}})
		r.must(tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", Name: "Class 2"}, handler.Applied)
	})
}

// The platform accepts 40 new members per call. The task is done when all are members,
// and no call is repeated.
func TestOneTaskAddsManyMembersInSeveralCalls(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var crowd []string
		r := newRig(t, s, func(c *sandbox.Config) {
			for i := range 95 {
				id := fmt.Sprintf("new%02d", i)
				crowd = append(crowd, id)
				c.World.Organisations[0].Employees = append(c.World.Organisations[0].Employees, sandbox.Employee{UserID: id})
			}
		})
		task := tasks.GroupUpdate{
			Tenant: dt, ChatID: "chat1", Name: "Crowd", Owner: crowd[94], OwnerType: tasks.OwnerEmployee,
			AddUserIDs: crowd, DelUserIDs: []string{"bob"}, AddExtIDs: []string{"u-guest"},
		}
		revision := r.requestChange(task)
		r.arm(sandbox.Fault{API: sandbox.APIGroupUpdate, At: 2, Kind: sandbox.FaultAnswer, Code: "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"})
		if report, err := r.attempt(task, revision); providers.KindOf(err) != providers.Throttled || report.Sends != 2 {
			t.Fatalf("%+v, %v, want the second call refused", report, err)
		}
		report, err := r.attempt(task, revision)
		if err != nil || report.Outcome != handler.Applied || report.Sends != 2 {
			t.Fatalf("%+v, %v, want done with two more calls", report, err)
		}
		r.calls(4)
		var joined, left int
		effects := r.box.Effects()
		for _, e := range effects {
			added := 0
			for _, c := range e.Changes {
				if c.Field == "member" && c.Old == "" || c.Field == "external" {
					added++
				}
				if c.Field == "member" && c.New == "" {
					left++
				}
			}
			if joined += added; added > 40 {
				t.Errorf("a call added %d", added)
			}
		}
		if joined != 96 || left != 1 || len(effects) != 3 {
			t.Errorf("%d joined and %d left in %d calls, want 96, 1 and 3", joined, left, len(effects))
		}
	})
}

// The producer died after it stored the task and before it recorded it. The first
// attempt records what is needed to detect the loss of the task, and to enqueue it
// again.
func TestTheFirstAttemptRecordsAnEditAsAnOpenTask(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.slot = func(context.Context) error { return errors.New("the lane is on hold") }
		task := tasks.GroupUpdate{Tenant: dt, ChatID: "chat1", DelUserIDs: []string{"ann"}}
		typename, payload, err := kinds.Encode(task, 7)
		if err != nil {
			t.Fatal(err)
		}
		d := handler.Delivery{TaskID: "t1", Type: typename, Payload: payload, Queue: "q", Key: "key", Run: "night", Row: 3, Pacer: pacer{r}}
		if _, err := r.handle(task)(t.Context(), d); err == nil {
			t.Fatal("it ended")
		}
		open, found, err := r.ledger.OpenTask(t.Context(), school, string(tasks.KindGroup), "t1")
		want := ledger.Open{
			Change:   ledger.Change{Target: ledger.Target{Organisation: school, API: string(tasks.KindGroup), Key: "chat1"}, TaskID: "t1"},
			Revision: 7, Row: ledger.Row{Tenant: dt, Run: "night", Row: 3}, Queue: "q", Key: "key", Type: typename, Payload: payload,
		}
		if diff := cmp.Diff(want, open); err != nil || !found || diff != "" {
			t.Errorf("it is open: %t, %v (-want +got):\n%s", found, err, diff)
		}
	})
}
