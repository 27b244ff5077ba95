package ledger_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// former is a worker or a producer of schema 1: it runs the scripts of schema 1.
type former struct {
	t   *testing.T
	rdb redis.UniversalClient
}

const formerKeeps = 400 * 24 * 3600 * 1000

func (f former) run(target ledger.Target, script string, args ...any) *redis.Cmd {
	f.t.Helper()
	text, err := os.ReadFile("testdata/schema1/" + script + ".lua")
	if err != nil {
		f.t.Fatal(err)
	}
	key := fmt.Sprintf("rollcall:{%s/%s}:target:%s", target.Organisation, target.API, target.Key)
	answer := f.rdb.Eval(f.t.Context(), string(text), []string{key}, args...)
	if err := answer.Err(); err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// enqueues takes a revision and notes it as the latest change of the fields.
func (f former) enqueues(target ledger.Target, fields ...string) int64 {
	f.t.Helper()
	revision, err := f.run(target, "revise", formerKeeps).Int64()
	if err != nil {
		f.t.Fatal(err)
	}
	if len(fields) > 0 {
		args := []any{formerKeeps, revision}
		for _, name := range fields {
			args = append(args, name)
		}
		f.run(target, "wish", args...)
	}
	return revision
}

// begins returns the decision.
func (f former) begins(target ledger.Target, revision int64, field, mode, value string) string {
	f.t.Helper()
	answer, err := f.run(target, "begin", "former", 20_000, formerKeeps, revision, field, mode, value).StringSlice()
	if err != nil || len(answer) < 2 {
		f.t.Fatalf("%v, %v", answer, err)
	}
	return answer[1]
}

func (f former) sends(target ledger.Target, revision int64, field, mode string) {
	f.t.Helper()
	if got := f.run(target, "send", "former", 20_000, revision, field, mode).Val(); got != "ok" {
		f.t.Fatalf("the last look says %v", got)
	}
}

func (f former) carriesOut(target ledger.Target, revision int64, field, mode, value string) {
	f.t.Helper()
	if got := f.begins(target, revision, field, mode, value); got != "send" {
		f.t.Fatalf("it is decided as %s, want send", got)
	}
	f.sends(target, revision, field, mode)
	if got := f.run(target, "settle", "former", formerKeeps, revision, "request", field, mode, value, "").Val(); got != "ok" {
		f.t.Fatalf("settled: %v", got)
	}
}

// noted is a task of this build's producer, stored and noted.
func noted(t *testing.T, l *ledger.Ledger, target ledger.Target, id string, row int, fields []ledger.Field) ledger.Open {
	t.Helper()
	o := ledger.Open{
		Change: ledger.Change{Target: target, Fields: fields, TaskID: id}, Row: ledger.Row{Tenant: "dt", Run: "night", Row: row},
		Queue: "dt." + target.API, Type: "any", Payload: []byte("{}"),
	}
	revised := l.Revise(t.Context(), o.Change)[0]
	if o.Revision = revised.Revision; revised.Err != nil {
		t.Fatal(revised.Err)
	}
	if err := l.Stored(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func wantEnded(t *testing.T, l *ledger.Ledger, o ledger.Open, want bool, dead byte) {
	t.Helper()
	ended, err := l.CloseEnded(t.Context(), o)
	if err != nil || ended != want {
		t.Errorf("task %s ended: %v, %v; want %v", o.Change.TaskID, ended, err, want)
	}
	if _, open, err := l.OpenTask(t.Context(), o.Change.Target.Organisation, o.Change.Target.API, o.Change.TaskID); err != nil || open == want {
		t.Errorf("task %s has a record: %v, %v", o.Change.TaskID, open, err)
	}
	rows, err := l.ReadRun(t.Context(), o.Change.Target.Organisation, o.Change.Target.API, ledger.RunName{Tenant: "dt", Run: "night"})
	if err != nil || rows[o.Row.Row] != dead {
		t.Errorf("row %d is %q, %v; want %q", o.Row.Row, rows, err, dead)
	}
}

func TestAFormerWorkerCarriesOutTasksOfThisProducer(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, old := ledger.New(s.Client(t)), former{t, s.Client(t)}
		older := noted(t, l, ann, "older", 0, nick("A"))
		newer := noted(t, l, ann, "newer", 1, nick("B"))
		if got := old.begins(ann, older.Revision, "nickname", "value", "A"); got != "superseded" {
			t.Errorf("the older change is decided as %s", got)
		}
		wantEnded(t, l, newer, false, ledger.RowStored)
		old.carriesOut(ann, newer.Revision, "nickname", "value", "B")
		wantEnded(t, l, newer, true, ledger.RowSettled)
		wantEnded(t, l, older, true, ledger.RowSuperseded)
		wantDecision(t, l, ann, newer.Revision, nick("B"), ledger.Settled)
	})
}

func TestAnEditThatAFormerWorkerSettledLosesItsPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, old := ledger.New(s.Client(t)), former{t, s.Client(t)}
		first := noted(t, l, chat, "first", 0, members)
		second := noted(t, l, chat, "second", 1, members)
		wantEnded(t, l, first, false, ledger.RowStored)
		old.carriesOut(chat, first.Revision, "members", "edit", "")
		wantEnded(t, l, first, true, ledger.RowSettled)
		lease, decided, err := l.Begin(t.Context(), ledger.Delivery{
			TaskID: "second", Target: chat, Revision: second.Revision, Fields: members, Row: second.Row,
		})
		if err != nil || lease == nil || decided[0] != ledger.Send {
			t.Fatalf("the second is decided as %v, %v", decided, err)
		}
		// The end of the first was not noted, and its position must be removed.
		if err := lease.Settle(t.Context(), "request", false, nil); err != nil {
			t.Fatal(err)
		}
		record, err := l.Look(t.Context(), chat)
		if err != nil || len(record.Edits) != 0 {
			t.Errorf("places are left: %v, %v", record.Edits, err)
		}
	})
}

func TestTasksOfAFormerProducerAreCarriedOut(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, old := ledger.New(s.Client(t)), former{t, s.Client(t)}
		older, newer := old.enqueues(ann, "nickname"), old.enqueues(ann, "nickname")
		wantDecision(t, l, ann, older, nick("A"), ledger.Superseded)
		apply(t, l, ann, newer, nick("B"))
		wantDecision(t, l, ann, newer, nick("B"), ledger.Settled)
		wantDecision(t, l, ann, old.enqueues(ann, "nickname"), nick("B"), ledger.Unchanged)
		// The changes of this producer and of the former one have one order.
		mixed := noted(t, l, ann, "mixed", 0, nick("C"))
		if last := old.enqueues(ann, "nickname"); last <= mixed.Revision {
			t.Errorf("revision %d after %d", last, mixed.Revision)
		}
		wantDecision(t, l, ann, mixed.Revision, nick("C"), ledger.Superseded)

		edit := old.enqueues(chat)
		apply(t, l, chat, edit, members)
		wantDecision(t, l, chat, edit, members, ledger.Settled)
	})
}

// A worker of schema 1 does not note which ID it sends.
func TestAnIDWhoseOutcomeAFormerWorkerLeftUnknownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, old := ledger.New(s.Client(t)), former{t, s.Client(t)}
		revision := old.enqueues(person, "id")
		old.begins(person, revision, "id", "value", "zoebronte")
		old.sends(person, revision, "id", "value")
		old.run(person, "release", "former")

		change := id("zoebronte")
		lease, decided, err := l.Begin(t.Context(), ledger.Delivery{TaskID: "again", Target: person, Revision: revision, Fields: change})
		if err != nil || lease == nil || decided[0] != ledger.SendAgain {
			t.Fatalf("it is decided as %v, %v", decided, err)
		}
		if intent, isUnknown := lease.Intent(); !isUnknown || intent.Value != "" || intent.Sends != 0 {
			t.Errorf("the outcome is unknown: %v, %+v", isUnknown, intent)
		}
		lease.Intend("zoebronte")
		if err := lease.Check(t.Context()); err == nil {
			t.Error("it may be sent again")
		}
	})
}

// A former worker ignores the intent, and finds the unknown outcome of an ID.
func TestAFormerWorkerKnowsAnUnknownOutcomeOfThisVersion(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, old := ledger.New(s.Client(t)), former{t, s.Client(t)}
		change := id("zoebronte")
		task := noted(t, l, person, "id", 0, change)
		lease, _, err := l.Begin(t.Context(), ledger.Delivery{TaskID: "id", Target: person, Revision: task.Revision, Fields: change})
		if err != nil {
			t.Fatal(err)
		}
		lease.Intend("zoebronte")
		if err := lease.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lease.Release(t.Context(), ledger.Unanswered); err != nil {
			t.Fatal(err)
		}
		if got := old.begins(person, task.Revision, "id", "value", "zoebronte"); got != "doubtful" {
			t.Errorf("it is decided as %s, want doubtful", got)
		}
	})
}
