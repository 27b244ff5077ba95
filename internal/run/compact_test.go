package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rollcall/internal/run"
	"rollcall/tasks"
)

func TestKeptRowsAreReadAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("a\n\x00张\U0001F600,\"")), 0, 6, -1)
		nickname := rapid.Custom(func(t *rapid.T) run.Row {
			r := run.Row{Line: rapid.IntRange(0, 1<<30).Draw(t, "line"), Previous: text.Draw(t, "previous")}
			r.Request.Task = tasks.NicknameSync{Tenant: text.Draw(t, "tenant"), ChatID: text.Draw(t, "chat"), UserID: text.Draw(t, "user"), Nickname: text.Draw(t, "nickname")}
			switch rapid.IntRange(0, 4).Draw(t, "more") {
			case 0:
				r.Problems = []string{text.Draw(t, "problem")}
			case 1:
				r.Request.Options = tasks.Options{Urgent: true, Key: "key", At: time.Unix(1_790_000_000, 0)}
			case 2:
				r.Of = 7
			default:
			}
			return r
		})
		other := rapid.SampledFrom([]run.Row{
			{Line: 3, Problems: []string{"has no task"}},
			{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: "t", ChatID: "c", DelUserIDs: []string{"u"}}}},
			{Request: tasks.Request{Task: tasks.StudentSync{Tenant: "t", StudentUID: "1", Name: "N"}}, Previous: "M"},
		})
		rows := rapid.SliceOf(rapid.OneOf(nickname, nickname, other)).Draw(t, "rows")
		var kept []byte
		for _, r := range rows {
			var err error
			if kept, err = run.AppendRow(kept, r); err != nil {
				t.Fatal(err)
			}
		}
		var got []run.Row
		for rest := kept; len(rest) > 0; {
			one, after, err := run.NextRow(rest)
			if err != nil {
				t.Fatal(err)
			}
			r, err := run.DecodeRow(one)
			if err != nil {
				t.Fatal(err)
			}
			got, rest = append(got, r), after
		}
		if diff := cmp.Diff(rows, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(kept) > 0 {
			cut := kept[:rapid.IntRange(0, len(kept)-1).Draw(t, "cut")]
			for rest := cut; len(rest) > 0; {
				one, after, err := run.NextRow(rest)
				if err != nil {
					return // as it should be
				}
				_, _ = run.DecodeRow(one)
				_, _ = run.DecodeRow(one[:len(one)/2]) // no panic
				rest = after
			}
		}
	})
}

func TestARowWithInvalidTextKeepsTheProblem(t *testing.T) {
	t.Parallel()
	r := run.Row{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "t", ChatID: "c", UserID: "u", Nickname: "\xff"}}}
	kept, err := run.AppendRow(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	one, _, err := run.NextRow(kept)
	if err != nil {
		t.Fatal(err)
	}
	got, err := run.DecodeRow(one)
	if err != nil || got.Request.Task != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "UTF-8") {
		t.Errorf("%+v, %v", got, err)
	}
}
