package enqueue_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func edit(user string) tasks.GroupUpdate {
	return tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", AddUserIDs: []string{user}}
}

// records returns the ids of the tasks that are recorded as open.
func records(t *testing.T, s *redistest.Server, kind tasks.Kind) map[string]ledger.Open {
	t.Helper()
	open := map[string]ledger.Open{}
	list, _, err := ledger.New(s.Client(t)).OpenTasks(t.Context(), "lakeside", string(kind), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		open[o.Change.TaskID] = o
	}
	return open
}

// destinations returns the ids of the open edits of chat1, the next first.
func destinations(t *testing.T, s *redistest.Server) []string {
	t.Helper()
	target, _ := kinds.Change(edit("u1"), "lakeside")
	record, err := ledger.New(s.Client(t)).Look(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range record.Edits {
		ids = append(ids, p.TaskID)
	}
	return ids
}

func TestABatchTakesItsRevisionsAndItsNotesInChunks(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		if _, err := open(t, s.Addr).Enqueue(t.Context(), nick("warm", "up"), tasks.Options{}); err != nil {
			t.Fatal(err) // Redis knows the scripts now
		}
		var revisions, notes atomic.Int32
		p := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
			// The first keys of either script are at the start; longer requests arrive
			// in parts.
			head := request[:min(len(request), 300)]
			switch {
			case bytes.Contains(head, []byte("}:edits:")):
				revisions.Add(1)
			case bytes.Contains(head, []byte("}:runs")):
				notes.Add(1)
			}
			return redistest.Pass
		}, nil)
		requests := make([]tasks.Request, 200)
		for i := range requests {
			requests[i].Task = nick(fmt.Sprintf("u%d", i), "A")
		}
		for i, r := range open(t, p.Addr()).EnqueueAll(t.Context(), requests) {
			if r.Outcome != tasks.Stored || r.Warning != "" {
				t.Fatalf("row %d: %+v", i, r)
			}
		}
		if revisions.Load() != 4 || notes.Load() != 4 {
			t.Errorf("%d requests for revisions and %d for notes, want 4 each for 200 tasks in chunks of 64", revisions.Load(), notes.Load())
		}
		if n := len(records(t, s, tasks.KindNickname)); n != 201 {
			t.Errorf("%d tasks are recorded as open, want all 201", n)
		}
	})
}

func TestATaskThatIsStoredCanBeFoundAndStoredAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		result, err := open(t, s.Addr).Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k", Urgent: true, Run: "night-1", Row: 7})
		if err != nil {
			t.Fatal(err)
		}
		info := stored(t, s, result.Queue)[0]
		target, _ := kinds.Change(nick("u1", "A"), "lakeside")
		want := ledger.Open{
			Change: ledger.Change{Target: target, TaskID: result.TaskID}, Revision: result.Revision, Queue: result.Queue, Key: "k",
			Row: ledger.Row{Tenant: tenant, Run: "night-1", Row: 7}, Type: info.Type, Payload: info.Payload,
		}
		if diff := cmp.Diff(want, records(t, s, tasks.KindNickname)[result.TaskID]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if run, row := kinds.RunOf(info.Headers); run != "night-1" || row != 7 {
			t.Errorf("its headers say row %d of run %q", row, run)
		}
	})
}

func TestTheHighestNumberOfASourceWinsInAnyOrder(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		for i, row := range []struct {
			source string
			number int64
			want   tasks.Outcome
		}{
			{"hr", 5, tasks.Stored},
			{"hr", 4, tasks.Outdated},
			{"hr", 5, tasks.Stored}, // again: it may not have been stored
			{"console", 1, tasks.Stored},
			{"", 0, tasks.Stored},
			{"hr", tasks.MaxNumber - 1, tasks.Stored},
			{"hr", tasks.MaxNumber, tasks.Stored},
			{"hr", tasks.MaxNumber - 1, tasks.Outdated},
		} {
			r, err := client.Enqueue(t.Context(), nick("u1", strconv.Itoa(i)), tasks.Options{Source: row.source, Number: row.number})
			if err != nil || r.Outcome != row.want || (r.TaskID == "") != (row.want == tasks.Outdated) {
				t.Errorf("%d: number %d of %q: %+v, %v; want %s", i, row.number, row.source, r, err, row.want)
			}
		}
		wantPending(t, s, 6)
	})
}

func TestATaskThatIsPartlyOutdatedBySourceNumbersIsRefused(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		group := tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Name: "3-2"}
		if _, err := client.Enqueue(t.Context(), group, tasks.Options{Source: "hr", Number: 5}); err != nil {
			t.Fatal(err)
		}
		group.Icon = "@i"
		r, err := client.Enqueue(t.Context(), group, tasks.Options{Source: "hr", Number: 4})
		if _, ok := errors.AsType[*tasks.ValidationError](err); !ok || r.Outcome != tasks.Refused || !strings.Contains(err.Error(), "one task for each field") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		task  tasks.Task
		o     tasks.Options
		field string
	}{
		"a number alone":      {nick("u1", "A"), tasks.Options{Number: 1}, "number"},
		"a negative number":   {nick("u1", "A"), tasks.Options{Source: "hr", Number: -1}, "number"},
		"nanoseconds":         {nick("u1", "A"), tasks.Options{Source: "hr", Number: tasks.MaxNumber + 1}, "number"},
		"capitals":            {nick("u1", "A"), tasks.Options{Source: "HR"}, "source"},
		"a long source":       {nick("u1", "A"), tasks.Options{Source: strings.Repeat("a", 33)}, "source"},
		"a source of edits":   {edit("u1"), tasks.Options{Source: "hr"}, "source"},
		"a run with a slash":  {nick("u1", "A"), tasks.Options{Run: "a/b"}, "run"},
		"a long run":          {nick("u1", "A"), tasks.Options{Run: strings.Repeat("a", 65)}, "run"},
		"a row without a run": {nick("u1", "A"), tasks.Options{Row: 1}, "row"},
		"a row too far":       {nick("u1", "A"), tasks.Options{Run: "r", Row: tasks.MaxRows}, "row"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			invalid, ok := errors.AsType[*tasks.ValidationError](tasks.Request{Task: row.task, Options: row.o}.Validate(tasks.Limits{}))
			if !ok || len(invalid.Problems) != 1 || invalid.Problems[0].Field != row.field {
				t.Errorf("%v, want a problem of %s", invalid, row.field)
			}
		})
	}
}

func TestAnEditThatWasNotStoredKeepsNoPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		f := &faults{marks: []string{"asynq:{lakeside-dt.group}:pending"}, todo: []redistest.Fault{redistest.Refuse}}
		p := redistest.NewProxy(t, s.Addr, f.judge, nil)
		client := openFor(t, p.Addr(), time.Second)
		if _, err := open(t, s.Addr).Enqueue(t.Context(), edit("u0"), tasks.Options{At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err) // Redis knows the scripts now
		}
		if r, err := client.Enqueue(t.Context(), edit("u1"), tasks.Options{}); r.Outcome != tasks.NotStored {
			t.Fatalf("%+v, %v", r, err)
		}
		if ids := destinations(t, s); len(ids) != 0 {
			t.Errorf("%v keep places", ids)
		}
		second, err := client.Enqueue(t.Context(), edit("u2"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{second.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAReplayedEditTakesItsOldPositionAndIsRecordedAsOpen(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		newer, err := client.Enqueue(t.Context(), edit("u2"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again := ended(t, edit("u1"), newer.Revision-1)
		again.Run, again.Row = "night-1", 3
		if r := client.Replay(t.Context(), again); r.Outcome != tasks.Stored || r.Warning != "" {
			t.Fatalf("%+v", r)
		}
		if diff := cmp.Diff([]string{"t~1", newer.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("places (-want +got):\n%s", diff)
		}
		record := records(t, s, tasks.KindGroup)["t~1"]
		if record.Revision != newer.Revision-1 || record.Row != (ledger.Row{Tenant: tenant, Run: "night-1", Row: 3}) {
			t.Errorf("noted as %+v", record)
		}
		if r := client.Replace(t.Context(), again, edit("u3")); r.Outcome != tasks.Stored || records(t, s, tasks.KindGroup)[r.TaskID].Row.Row != 3 {
			t.Errorf("the replacement: %+v", r)
		}
	})
}

func TestAReplayOfTheLatestChangeIsTheTaskOfItsTarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		first, err := client.Enqueue(t.Context(), nick("ann", "A"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again := ended(t, nick("ann", "A"), first.Revision)
		again.ID = first.TaskID
		if r := client.Replay(t.Context(), again); r.Outcome != tasks.Stored {
			t.Fatalf("%+v", r)
		}
		target, _ := kinds.Change(nick("ann", "A"), "lakeside")
		record, err := ledger.New(s.Client(t)).Look(t.Context(), target)
		if err != nil || record.Fields["nickname"].TaskID != first.TaskID+"~1" {
			t.Errorf("the latest change is task %s, %v; want the replay", record.Fields["nickname"].TaskID, err)
		}
	})
}
