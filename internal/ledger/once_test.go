package ledger_test

import (
	"strings"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

var person = ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"}

func id(value string) []ledger.Field {
	return []ledger.Field{{Name: "id", Value: value, Mode: ledger.Once}}
}

// An intent that a failover forgets would let another ID be sent. Where there are
// replicas, one of them has it before anything leaves.
func TestAnIntentSurvivesAFailoverOrNothingIsSent(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			l := on(t, d)
			sent := begin(t, l, person, revise(t, l, person), id("zhangsan"))
			sent.Intend("zhangsan")
			gate(t, sent)
			release(t, sent, ledger.Unanswered)
			other := ledger.Target{Organisation: "lakeside", API: "id", Key: "u2"}
			d.Part(t)
			cut := begin(t, l, other, revise(t, l, other), id("lisi0001"))
			cut.Intend("lisi0001")
			if err := cut.Gate(t.Context()); err == nil || !strings.Contains(err.Error(), "replica") {
				t.Fatalf("Gate() = %v, want nothing sent while no replica has the intent", err)
			}
			d.FailOver(t, "rollcall:{lakeside/id}:target:u1")
			awaitMaster(t, l)
			mark := begin(t, l, person, revise(t, l, person), id("lisi0001"))
			if intent, inDoubt := mark.Intent(); !inDoubt || intent.Value != "zhangsan" || intent.Sends != 1 {
				t.Errorf("after the failover: %+v in doubt %v, want zhangsan sent once", intent, inDoubt)
			}
			mark.Intend("lisi0001")
			if err := mark.Gate(t.Context()); err == nil {
				t.Error("another ID passed the gate while one is in doubt")
			}
		})
	}
}

// A stale token has the same ID sent twice in one attempt, the first time unread.
func TestASendThatWasRefusedUnreadDoesNotCount(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		rev := revise(t, l, person)
		mark := begin(t, l, person, rev, id("zhangsan"))
		mark.Intend("zhangsan")
		gate(t, mark)
		gate(t, mark)
		release(t, mark, ledger.Answered)
		mark = begin(t, l, person, rev, id("zhangsan"))
		if intent, _ := mark.Intent(); intent.Sends != 1 {
			t.Errorf("%d sends are counted, want 1", intent.Sends)
		}
		// Refused for its rate: that send did not count, the one before stands.
		mark.Intend("zhangsan")
		gate(t, mark)
		release(t, mark, ledger.Untouched)
		mark = begin(t, l, person, rev, id("zhangsan"))
		if intent, inDoubt := mark.Intent(); !inDoubt || intent.Sends != 1 {
			t.Errorf("%+v in doubt %v, want the one send from before", intent, inDoubt)
		}
	})
}
