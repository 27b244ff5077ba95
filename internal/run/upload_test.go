package run_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func TestRowsAreAddedOnceAtAnyPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		made := r.must(r.service.Create(t.Context(), run.Draft{}))
		var rows []run.Row
		for i := range 1000 {
			rows = append(rows, nickname(i+1, fmt.Sprintf("n%d", i)))
		}
		for _, step := range []struct{ from, to, in int }{
			{0, 100, 100}, {0, 100, 100}, {50, 300, 300}, {256, 300, 300}, {300, 301, 301}, {300, 1000, 1000}, {0, 1000, 1000},
		} {
			in, err := r.service.Add(t.Context(), made.ID, step.from, rows[step.from:step.to])
			if err != nil || in != step.in {
				t.Fatalf("rows %d to %d: %d are in, %v, want %d", step.from, step.to, in, err, step.in)
			}
		}
		if _, err := r.service.Add(t.Context(), made.ID, 1001, rows[:1]); !is[*run.GapError](err) {
			t.Errorf("a gap: %v", err)
		}
		if _, err := r.service.Seal(t.Context(), made.ID, 999); !is[*run.CountError](err) {
			t.Errorf("another count: %v", err)
		}
		r.must(r.service.Seal(t.Context(), made.ID, 1000))
		if _, err := r.service.Add(t.Context(), made.ID, 1000, rows[:1]); !is[*run.StateError](err) {
			t.Errorf("a row after the seal: %v", err)
		}
		if in, err := r.service.Add(t.Context(), made.ID, 0, rows); in != 1000 || err != nil {
			t.Errorf("the same rows after the seal: %d, %v", in, err)
		}
		r.must(r.service.Plan(t.Context(), made.ID, nil))
		n := 0
		for p, err := range r.service.Rows(t.Context(), made.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(rows[n], p.Row); diff != "" || p.Number != n+1 {
				t.Fatalf("row %d is number %d (-want +got):\n%s", n+1, p.Number, diff)
			}
			n++
		}
		if n != 1000 {
			t.Errorf("the plan has %d rows", n)
		}
	})
}

func TestARowComesBackAsItWasAdded(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	rows := []run.Row{
		{Line: 7, Request: tasks.Request{
			Task:    tasks.GroupUpdate{Tenant: tenant, ChatID: "chat1", Name: "高一 <1>班", AddUserIDs: []string{"u1", "u2"}, Options: tasks.GroupOptions{Searchable: new(0)}},
			Options: tasks.Options{Urgent: true, At: time.Unix(1_800_000_000, 0), Key: "k/1 “x”"},
		}},
		{Request: tasks.Request{
			Task:    tasks.NicknameSync{Tenant: tenant, ChatID: "c/1%", UserID: "u1", Nickname: "王\"芳"},
			Options: tasks.Options{Source: "hr", Number: 17},
		}, Previous: "李"},
		{Line: 9, Problems: []string{"column nickname: is an error value"}},
	}
	made := r.plan(run.Draft{}, rows)
	var got []run.Row
	for p, err := range r.service.Rows(t.Context(), made.ID) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Row)
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("rows (-added +read):\n%s", diff)
	}
}

func TestARunNeedsFewBytesOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Real(t), 3)
	const n = 20 * 256
	random := rand.New(rand.NewPCG(1, 2))
	surnames, given := []rune("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"), []rune("芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建国志文")
	var rows []run.Row
	for i := range n {
		name := []rune{surnames[random.IntN(len(surnames))], given[random.IntN(len(given))], given[random.IntN(len(given))]}
		rows = append(rows, run.Row{Line: i + 2, Request: tasks.Request{Task: tasks.NicknameSync{
			Tenant: tenant, ChatID: fmt.Sprintf("chat%016x", 0x9e3779b97f4a7c15*uint64(i/45+1)), UserID: strconv.Itoa(202600000 + random.IntN(90000)),
			Nickname: string(name),
		}}})
	}
	p := r.plan(run.Draft{}, rows)
	var bytes int64
	for _, key := range r.rdb.Keys(t.Context(), "rollcall:{run:"+p.ID+"}:*").Val() {
		bytes += r.rdb.MemoryUsage(t.Context(), key).Val()
	}
	if perRow := float64(bytes) / n; perRow > 60 {
		t.Errorf("a waiting row takes %.1f bytes, more than 60", perRow)
	} else {
		t.Logf("a waiting row takes %.1f bytes", perRow)
	}
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func TestARunIsFoundByItsIdAndByItsName(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.must(r.service.Create(t.Context(), run.Draft{})) // it has no name, and no word names it
	old := r.must(r.service.Create(t.Context(), run.Draft{Name: "names"}))
	latest := r.must(r.service.Create(t.Context(), run.Draft{Name: "names"}))
	for word, want := range map[string]string{old.ID: old.ID, latest.ID: latest.ID, old.ID[:8]: old.ID, "names": latest.ID} {
		if got, err := r.service.Find(t.Context(), word); got != want {
			t.Errorf("%s: %s, %v, want %s", word, got, err, want)
		}
	}
	for _, word := range []string{"nosuch", old.ID[:5], "", strings.Repeat("r", 17)} {
		if got, err := r.service.Find(t.Context(), word); !is[*run.NotFoundError](err) {
			t.Errorf("%q: %s, %v", word, got, err)
		}
	}
	if runs, err := r.service.List(t.Context(), run.Filter{}); err != nil || len(runs) != 3 || runs[0].ID != latest.ID {
		t.Errorf("list: %v, %v", runs, err)
	}
}
