package ledger_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestASurveyFindsWhatLookFinds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		gate(t, begin(t, l, bob, revise(t, l, bob), nick("B"))) // its outcome is unknown
		one := edit(t, l, "one")
		note(t, l, "one", one)
		noted(t, l, chat, "name", 1, []ledger.Field{{Name: "name", Value: "A"}})
		person := ledger.Target{Organisation: "lakeside", API: "id", Key: "ann"}
		gate(t, begin(t, l, person, revise(t, l, person), id("ann01")))
		targets := []ledger.Target{ann, bob, chat, person, {Organisation: "lakeside", API: "nickname", Key: "unknown"}}
		for i := range 600 { // more than a pipeline
			targets = append(targets, ledger.Target{Organisation: "lakeside", API: "nickname", Key: fmt.Sprint("chat2/", i)})
			if i%100 == 0 {
				apply(t, l, targets[len(targets)-1], revise(t, l, targets[len(targets)-1]), nick(fmt.Sprint("N", i)))
			}
		}
		records, err := l.Survey(t.Context(), targets)
		if err != nil {
			t.Fatal(err)
		}
		for i, target := range targets {
			want, err := l.Look(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			want.Effects = nil
			ignored := cmp.Options{
				cmpopts.IgnoreFields(ledger.State{}, "Open"), cmpopts.IgnoreFields(ledger.Intent{}, "Age"), cmpopts.EquateEmpty(),
				cmpopts.EquateErrors(),
			}
			if diff := cmp.Diff(want, records[i], ignored); diff != "" {
				t.Errorf("%v (-Look +Survey):\n%s", target, diff)
			}
		}
	})
}

func TestASurveyKnowsWhichChangesStillWait(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		name := []ledger.Field{{Name: "name", Value: "A"}}
		waits := func(target ledger.Target, field string) bool {
			t.Helper()
			records, err := l.Survey(t.Context(), []ledger.Target{target})
			if err != nil {
				t.Fatal(err)
			}
			return records[0].Fields[field].Open
		}
		open := noted(t, l, chat, "name", 1, name)
		if !waits(chat, "name") {
			t.Error("a stored change does not wait")
		}
		if err := l.Close(t.Context(), chat, "name", open.Row); err != nil {
			t.Fatal(err)
		}
		if waits(chat, "name") {
			t.Error("the change of a dead letter waits")
		}
		again := noted(t, l, chat, "again", 1, name)
		apply(t, l, chat, again.Revision, name)
		if waits(chat, "name") {
			t.Error("a change that was applied waits")
		}
	})
}

func TestADamagedTargetIsReportedInItsOwnRecord(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		apply(t, l, bob, revise(t, l, bob), nick("B"))
		if err := rdb.LPush(t.Context(), annKey, "a list").Err(); err != nil {
			t.Fatal(err)
		}
		carl := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/carl"}
		if err := rdb.HSet(t.Context(), "rollcall:{lakeside/nickname}:target:chat1/carl", "r:nickname", "inf").Err(); err != nil {
			t.Fatal(err)
		}
		records, err := l.Survey(t.Context(), []ledger.Target{ann, bob, carl})
		if err != nil {
			t.Fatal(err)
		}
		var damaged []int
		for _, r := range records {
			damaged = append(damaged, len(r.Damaged))
		}
		if diff := cmp.Diff([]int{1, 0, 1}, damaged); diff != "" || records[1].Fields["nickname"].Value != "B" {
			t.Errorf("damage (-want +got):\n%s, %+v", diff, records)
		}
	})
}
