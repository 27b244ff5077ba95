package night_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/night"
	"rollcall/internal/run"
	"rollcall/internal/source"
)

var full = night.Report{
	Schedule: "nightly", Tick: time.Date(2026, 11, 29, 18, 37, 0, 0, time.UTC), State: night.StateDone, Run: "r1", Rows: 300, Complete: true,
	Modified: time.Date(2026, 11, 29, 17, 2, 0, 0, time.UTC), Unchanged: 290, Planned: 6, Calls: 5, Applied: 3,
	Failed: map[string]int{"transient": 1, "rejected 400002": 1}, SetAside: map[string]int{"rejected 34001": 2}, Conflicts: 1, Impossible: 1,
	CarriedOver: 1, Missing: 2, Returned: 1, Removed: 1, Restored: 1, Drift: 9,
	Forecast: &night.Forecast{Organisation: "lakeside", Left: 4496, PerNight: 3.2, Nights: 1405},
}

var shanghai = time.FixedZone("UTC+8", 8*60*60)

func linesOf(r night.Report, l night.Language) []string {
	all := []string{r.Title(l, shanghai)}
	for _, line := range r.Lines(l, shanghai) {
		mark := " "
		if line.Bad {
			mark = "!"
		}
		all = append(all, mark+line.Label+"|"+line.Text)
	}
	return append(all, r.Decisions(l)...)
}

func TestAReportIsWrittenInBothLanguages(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff([]string{
		"nightly, night of 2026-11-30 02:37 UTC+08:00: done",
		" source|300 rows, read to the end, content of 2026-11-30 01:02", " unchanged|290", " sent|6 planned, 5 calls, 3 accepted",
		"!failed|1 rejected 400002, 1 transient", "!set aside|2 rejected 34001", "!not sent|1 in conflict, 1 cannot be used",
		"!carried over|1 for lack of calls", "!members|2 missing, 1 returned, 1 removed, 1 added again",
		"!drift|9 may differ from the platform", " forecast|4496 calls left for lakeside, 3.2 a night: 1405 nights",
	}, linesOf(full, night.English)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		"nightly，2026-11-30 02:37 UTC+08:00 的同步：已完成",
		" 来源|300 行，已读完，内容时间 2026-11-30 01:02", " 无变化|290 行", " 发送|计划 6 行，调用 5 次，成功 3 行",
		"!失败|rejected 400002 1 行，transient 1 行", "!暂不发送|rejected 34001 2 行", "!未发送|矛盾 1 行，无法使用 1 行",
		"!顺延|因调用量不足 1 行", "!成员|缺少 2 人，回来 1 人，移出 1 人，重新加入 1 人",
		"!偏差|可能与平台不一致 9 行", " 调用量|lakeside 本月还剩 4496 次，每晚 3.2 次，可用 1405 晚",
	}, linesOf(full, night.Chinese)); d != "" {
		t.Error(d)
	}
}

func TestOneIsWrittenInTheSingular(t *testing.T) {
	t.Parallel()
	r := night.Report{
		Schedule: "nightly", Tick: full.Tick, State: night.StateDone, Rows: 1, Complete: true, Planned: 1, Calls: 1, Applied: 1,
		Forecast: &night.Forecast{Organisation: "lakeside", Left: 1, PerNight: 1, Nights: 1},
	}
	if d := cmp.Diff([]string{
		"nightly, night of 2026-11-30 02:37 UTC+08:00: done", " source|1 row, read to the end", " unchanged|0",
		" sent|1 planned, 1 call, 1 accepted", " drift|0 may differ from the platform", " forecast|1 call left for lakeside, 1.0 a night: 1 night",
	}, linesOf(r, night.English)); d != "" {
		t.Error(d)
	}
	if got, want := r.Summary(night.English), "done: 1 row, 0 unchanged, 1 call, 1 accepted"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := r.Summary(night.Chinese), "已完成：1 行，无变化 0 行，调用 1 次，成功 1 行"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAReportOfASourceThatWasNotReadHasNoCounts(t *testing.T) {
	t.Parallel()
	r := night.Report{
		Schedule: "nightly", Tick: full.Tick, State: night.StateFailed, Cause: source.Refused, Why: "HTTP 401", Decide: []string{"source refused: HTTP 401"},
	}
	if d := cmp.Diff([]string{
		"nightly, night of 2026-11-30 02:37 UTC+08:00: failed", "!source|refused the access, HTTP 401", "the source refused the access: HTTP 401",
	}, linesOf(r, night.English)); d != "" {
		t.Error(d)
	}
	r.Decide = []string{"source refused"} // as a webhook has it
	if got := r.Decisions(night.Chinese); len(got) != 1 || got[0] != "来源没有权限或凭证错误" {
		t.Errorf("%q", got)
	}
}

// A person who reads Chinese finds no guard, cause or state that has no words.
func TestEveryDecisionHasWordsInBothLanguages(t *testing.T) {
	t.Parallel()
	names := []string{night.GuardIncomplete, night.GuardOlder, night.GuardRule, night.GuardShrunk, night.GuardInvalid, night.GuardRemoved, "paused"}
	for _, f := range run.GuardFlags() {
		names = append(names, f.Guard)
	}
	for _, c := range []source.Cause{
		source.Down, source.Slow, source.Refused, source.Malformed, source.Missing, source.NotReady, source.Empty, source.TooLarge,
	} {
		names = append(names, "source "+string(c))
	}
	for _, name := range names {
		r := night.Report{Decide: []string{name}}
		en, zh := r.Decisions(night.English)[0], r.Decisions(night.Chinese)[0]
		if en == name || !strings.Contains(en, " ") || zh == en || strings.HasSuffix(zh, name) {
			t.Errorf("%s is %q and %q", name, en, zh)
		}
	}
	for _, s := range []night.State{
		night.StateWaiting, night.StateSending, night.StateHeld, night.StatePaused, night.StateDone, night.StateFailed,
		night.StateReplaced, night.StateExpired, night.StateRejected, night.StateStopped,
	} {
		if title := (night.Report{State: s}).Title(night.Chinese, time.UTC); strings.HasSuffix(title, string(s)) {
			t.Errorf("state %s has no words in Chinese: %s", s, title)
		}
	}
}
