package runview_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/table"
	"rollcall/tasks"
)

func TestNamesAndIDsAreMaskedEverywhere(t *testing.T) {
	t.Parallel()
	rename := run.Row{Request: tasks.Request{
		Task: tasks.NicknameSync{Tenant: "dt", ChatID: "chat1", UserID: "manager7", Nickname: "黄勇勇"}, Options: tasks.Options{Key: "key-of-manager7"},
	}, Previous: "李涛涛"}
	members := run.Row{Request: tasks.Request{Task: tasks.GroupUpdate{Tenant: "dt", ChatID: "chat1", AddUserIDs: []string{"manager7"}, DelUserIDs: []string{"secretary9"}}}}
	for _, shown := range []bool{false, true} {
		m := runview.Masker{Shown: shown}
		var all []string
		for words, row := range map[string]run.Row{"manager7 黄勇勇 李涛涛 in chat1": rename, "manager7 secretary9 not in chat1": members} {
			at := m.Place(row)
			all = append(all, at.Target, at.Key, m.Words(row, "", words))
		}
		for _, c := range m.Changes(rename, []run.Value{{Field: "nickname", Old: "李涛涛", New: "黄勇勇", Known: true}}) {
			all = append(all, c.Old, c.New)
		}
		changes := m.Changes(members, []run.Value{{Field: "members"}})
		if !runview.Several(changes) || !changes[0].Known {
			t.Errorf("%+v", changes)
		}
		text := strings.Join(append(all, changes[0].New), " ")
		for _, secret := range []string{"manager7", "secretary9", "黄勇勇", "李涛涛"} {
			if strings.Contains(text, secret) != shown {
				t.Errorf("shown %t: %s in %s", shown, secret, text)
			}
		}
		if !strings.Contains(text, "chat1") {
			t.Errorf("the chat is masked: %s", text)
		}
	}
	if at := (runview.Masker{}).Place(run.Row{}); at != (runview.Place{}) {
		t.Errorf("of a row without a task: %+v", at)
	}
}

// numbers are rows 1 to n; an error ends them if it is not nil.
func numbers(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := 1; i <= n; i++ {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestPagesHaveEachWantedRowOnce(t *testing.T) {
	t.Parallel()
	self := func(n int) int { return n }
	for _, p := range []runview.Page{{1, 100}, {3, 100}, {10, 100}, {100, 100}, {3, 1}, {3, 2}, {3, 7}} {
		var got []int
		for after, pages := 0, 0; ; pages++ {
			taken := 0
			rest := func(yield func(int, error) bool) {
				for n, err := range numbers(10, nil) {
					if n > after && !yield(n, err) {
						return
					}
				}
			}
			next, err := runview.Read(t.Context(), p, rest, self, func(n int) bool {
				if n%2 == 1 {
					return false
				}
				taken++
				got = append(got, n)
				return true
			})
			if err != nil || taken > p.Limit || pages > 12 {
				t.Fatalf("%+v: %d taken, page %d, %v", p, taken, pages, err)
			}
			if next == 0 {
				break
			}
			after = next
		}
		if !slices.Equal(got, []int{2, 4, 6, 8, 10}) {
			t.Errorf("%+v: %v", p, got)
		}
	}
	broken := errors.New("broken")
	if _, err := runview.Read(t.Context(), runview.Page{Limit: 5, Scan: 5}, numbers(2, broken), self, func(int) bool { return true }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runview.Read(ended, runview.Page{Limit: 5, Scan: 5}, numbers(2, nil), self, func(int) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAFileOfResultsHasTheColumnsOfTheUpload(t *testing.T) {
	t.Parallel()
	plan := &run.Plan{Lanes: []run.Lane{{Tenant: "dt", Kind: tasks.KindNickname}}}
	row := run.Result{Planned: run.Planned{Row: run.Row{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "dt", ChatID: "chat1", UserID: "u1", Nickname: "黄勇"}}}}, Outcome: run.OutcomeApplied}
	for _, chinese := range []bool{false, true} {
		f := runview.File{Format: table.NDJSON, Chinese: chinese, Columns: runview.Columns(plan)}
		var out bytes.Buffer
		if err := f.Write(&out, func(yield func(run.Result, error) bool) { yield(row, nil) }); err != nil {
			t.Fatal(err)
		}
		want := `{"kind":"nickname","tenant":"dt","chat_id":"chat1","user_id":"u1","nickname":"黄勇","result":"applied"}`
		if chinese {
			want = `{"类型":"nickname","租户":"dt","群ID":"chat1","用户ID":"u1","群昵称":"黄勇","结果":"已生效"}`
		}
		if diff := cmp.Diff(want, strings.TrimSpace(out.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	broken := errors.New("broken")
	f := runview.File{Format: table.CSV, Columns: runview.Columns(plan)}
	if err := f.Write(&bytes.Buffer{}, func(yield func(run.Result, error) bool) { yield(run.Result{}, broken) }); !errors.Is(err, broken) {
		t.Error(err)
	}
}
