package enqueue_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

const nicknames = tenant + ".nickname"

// ended returns task as one that was stored with revision rev and has ended.
func ended(t *testing.T, task tasks.Task, rev int64) ledger.DeadLetter {
	t.Helper()
	typename, payload, err := kinds.Encode(task, rev)
	if err != nil {
		t.Fatal(err)
	}
	kind, _ := kinds.OfType(typename)
	return ledger.DeadLetter{ID: "t", Tenant: tenant, Kind: string(kind.Name), Type: typename, Payload: payload}
}

func TestAReplayKeepsThePayloadAndIsSupersededByALaterChange(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		newer, err := client.Enqueue(t.Context(), nick("ann", "new"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again := ended(t, nick("ann", "old"), newer.Revision-1)
		again.Urgent, again.Key = true, "night-1"
		if got, want := client.Replay(t.Context(), again), (tasks.Result{Outcome: tasks.Stored, TaskID: "t~1", Queue: nicknames + ".urgent", Revision: newer.Revision - 1}); got != want {
			t.Fatalf("Replay() = %+v, want %+v", got, want)
		}
		info := stored(t, s, nicknames+".urgent")
		if len(info) != 1 || string(info[0].Payload) != string(again.Payload) || info[0].Headers[kinds.KeyHeader] != "night-1" || info[0].MaxRetry != 1<<20 {
			t.Errorf("stored %+v", info)
		}
		if got := decision(t, s, nick("ann", "old"), newer.Revision-1); got != ledger.Superseded {
			t.Errorf("the earlier change is %s, want superseded", got)
		}
	})
}

func TestOnlyOneOfManyReplaysIsStored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		again := ended(t, nick("ann", "Ann"), 7)
		results := make([]tasks.Result, 8)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i] = client.Replay(t.Context(), again) })
		}
		wg.Wait()
		n := 0
		for _, r := range results {
			switch r.Outcome {
			case tasks.Stored:
				n++
			case tasks.AlreadyThere:
			case tasks.NotStored, tasks.NotKnown, tasks.Refused:
				t.Errorf("%+v", r)
			}
		}
		if n != 1 {
			t.Errorf("%d replays report Stored", n)
		}
		wantPending(t, s, 1)
		again.ID = "t~1"
		if got := client.Replay(t.Context(), again); got.TaskID != "t~2" || got.Outcome != tasks.Stored {
			t.Errorf("the replay of a replay: %+v", got)
		}
		again.ID = "somebody's~own"
		if got := client.Replay(t.Context(), again); got.Outcome != tasks.Stored || !strings.HasSuffix(got.TaskID, "~1") {
			t.Errorf("the replay of a foreign id: %+v", got)
		}
	})
}

func TestALostAnswerToAReplayIsResolvedByASecondSend(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, storing, redistest.LoseReply)
		if got := client.Replay(t.Context(), ended(t, nick("ann", "Ann"), 7)); got.Outcome != tasks.Stored || got.Err != nil {
			t.Errorf("%+v", got)
		}
		wantPending(t, s, 1)
	})
}

func TestATaskThatWouldFailAgainIsNotReplayed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		raw := ended(t, nick("ann", "Ann"), 7)
		raw.Payload = []byte("\xff")
		wrong := ended(t, nick("ann", ""), 7)
		misplaced := ended(t, nick("ann", "Ann"), 7)
		misplaced.Kind = string(tasks.KindGroup)
		elsewhere := ended(t, nick("ann", "Ann"), 7)
		elsewhere.Tenant = "other"
		gone := ended(t, tasks.CourseSync{Tenant: "unserved", CourseID: "1"}, 7)
		gone.Tenant = "unserved"
		for name, again := range map[string]ledger.DeadLetter{"raw": raw, "wrong": wrong, "misplaced": misplaced, "elsewhere": elsewhere, "unserved": gone} {
			if got := client.Replay(t.Context(), again); got.Outcome != tasks.Refused || got.Err == nil {
				t.Errorf("%s: %+v", name, got)
			}
		}
		wantPending(t, s, 0)
	})
}

func TestAReplacementIsTheLatestChange(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		newer, err := client.Enqueue(t.Context(), nick("ann", "newer"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again := ended(t, nick("ann", "wrong"), newer.Revision-1)
		first := client.Replace(t.Context(), again, nick("ann", "right"))
		if first.Outcome != tasks.Stored || first.Revision <= newer.Revision || !strings.HasPrefix(first.TaskID, "t~1-") {
			t.Fatalf("Replace() = %+v", first)
		}
		// A second replacement finds it already there, and records nothing else as the
		// latest change.
		if second := client.Replace(t.Context(), again, nick("ann", "right")); second.Outcome != tasks.AlreadyThere || second.TaskID != first.TaskID {
			t.Errorf("again: %+v", second)
		}
		if got := decision(t, s, nick("ann", "right"), first.Revision); got != ledger.Send {
			t.Errorf("the replacement is %s, want send", got)
		}
		if other := client.Replace(t.Context(), again, nick("ann", "another")); other.Outcome != tasks.Stored || other.TaskID == first.TaskID {
			t.Errorf("another replacement: %+v", other)
		}
		if got := client.Replace(t.Context(), again, nick("ann", "")); got.Outcome != tasks.Refused {
			t.Errorf("an invalid replacement: %+v", got)
		}
		if got := client.Replace(t.Context(), again, tasks.CourseSync{Tenant: tenant, CourseID: "1"}); got.Outcome != tasks.Refused {
			t.Errorf("a replacement of another kind: %+v", got)
		}
	})
}

func TestAKeyIsKeptWithItsTask(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		if _, err := open(t, s.Addr).Enqueue(t.Context(), nick("ann", "Ann"), tasks.Options{Key: "k", At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if info := stored(t, s, nicknames); len(info) != 1 || info[0].Headers[kinds.KeyHeader] != "k" {
			t.Errorf("stored %+v", info)
		}
	})
}
