package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/cli"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// hostile clears the screen, turns the text around, and begins lines of its own.
const hostile = "x\x1b[2J\u202ey\u009b1A\nFORGED a lane\rFORGED a row\u2028FORGED\tz\u0085FORGED"

// seedHostile writes it to every place in Redis that holds a text.
func seedHostile(ctx context.Context, rdb redis.UniversalClient) error {
	lane, err := json.Marshal(registry.Lane{Organisation: "hill" + hostile, Tenant: "t" + hostile, Kind: tasks.KindNickname, Seen: time.Now()})
	if err != nil {
		return err
	}
	h := hold.Hold{
		Scope: hold.Scope{Level: hold.Lane, Name: "lakeside-dt.nickname" + hostile}, Class: hold.Class("failing" + hostile), Reason: hostile, By: hostile,
		Since: time.Now(), Seen: hold.Seen{Host: hostile, Status: 403, Code: hostile, First: time.Now(), Last: time.Now(), Count: 1},
	}
	held, err := json.Marshal(h)
	if err != nil {
		return err
	}
	stray, err := json.Marshal(hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "lakeside-dt"}, Class: hold.Operator, Reason: "=" + hostile, By: hostile, Since: time.Now()})
	if err != nil {
		return err
	}
	now := time.Now()
	target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/u1"}
	record := ledger.New(rdb)
	const redisTarget = "rollcall:{lakeside/nickname}:target:chat1/u1"
	_, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "c" + hostile, UserID: "u1", Nickname: "n" + hostile}, 1234)
	if err != nil {
		return err
	}
	for _, id := range []string{"h1", "=" + hostile} {
		_, added := record.AddDeadLetter(ctx, ledger.DeadLetter{
			ID: id, Lane: "lakeside-dt.nickname", Tenant: "lakeside-dt" + hostile, Kind: "nickname", Organisation: hostile, Type: "t" + hostile,
			Payload: payload, Run: "r" + hostile, Key: "@" + hostile, Target: target.Key, Revision: 1234, Class: "rejected", Code: "-" + hostile,
			Message: "+" + hostile, RequestID: hostile, Todo: hostile, Cause: hostile, Attempts: map[string]int{hostile: 1}, First: now, Last: now,
		})
		err = errors.Join(err, added)
	}
	effect, marshalled := json.Marshal(ledger.Event{TaskID: hostile, RequestID: hostile, Set: map[string]string{"nickname": hostile}, By: hostile, Did: hostile})
	return errors.Join(
		err, marshalled,
		rdb.HSet(ctx, registry.Key, "t"+hostile+".nickname", lane).Err(),
		rdb.HSet(ctx, hold.Key, "lane:lakeside-dt.nickname"+hostile+"/auto", held, "tenant:lakeside-dt/operator", stray).Err(),
		audit.Write(ctx, rdb, audit.Event{Event: "hold." + hostile, Level: hostile, Name: hostile, Class: hostile, Reason: hostile, By: hostile}),
		rdb.HSet(ctx, redisTarget, "rev", now.UnixMicro(), "n:nickname", now.UnixMicro(), "t:nickname", hostile, "r:nickname", 5, "v:nickname", hostile,
			"s:"+hostile+":nickname", 7, "n:"+hostile, now.UnixMicro(), "d:"+hostile, hostile).Err(),
		rdb.LPush(ctx, "rollcall:{lakeside/nickname}:effects:chat1/u1", fmt.Sprintf("%d %s", now.Unix(), effect)).Err(),
		rdb.ZAdd(ctx, "rollcall:{lakeside/nickname}:edits:chat1/u1", redis.Z{Score: 9, Member: hostile}).Err(),
		rdb.ZAdd(ctx, "rollcall:{lakeside/nickname}:runs", redis.Z{Score: float64(now.UnixMilli()), Member: "lakeside-dt/" + hostile}).Err(),
		rdb.Set(ctx, "rollcall:{lakeside/nickname}:run:lakeside-dt/"+hostile, "wd", 0).Err(),
		rdb.ZAdd(ctx, "rollcall:{lakeside/id}:doubts", redis.Z{Score: 1, Member: hostile}).Err(),
		rdb.HSet(ctx, "rollcall:{lakeside/id}:target:"+hostile, "d:id", now.UnixMicro(), "i:id", fmt.Sprintf("1 %d %d %s %s", now.UnixMilli(), now.UnixMicro(), hostile, hostile)).Err(),
	)
}

func TestTextOfOthersInRedisForgesNoOutput(t *testing.T) {
	t.Parallel()
	url, rdb := served(t)
	if err := seedHostile(t.Context(), rdb); err != nil {
		t.Fatal(err)
	}
	printed := 0
	for _, args := range [][]string{
		{"lanes"},
		{"lanes", "lakeside-dt"},
		{"lanes", "events"},
		{"dead", "list"},
		{"dead", "list", "--closed"},
		{"dead", "show", "h1"},
		{"dead", "show", "--show-personal-data", "h1"},
		{"dead", "show", "=" + hostile},
		{"dead", "show", hostile},
		{"dead", "export"},
		{"dead", "export", "--show-personal-data"},
		{"dead", "replay", "--dry-run", "h1"},
		{"dead", "replay", "--dry-run", "=" + hostile},
		{"dead", "discard", "--reason", hostile, "--all"},
		{"dead", "replay", "h1", "--task", hostile},
		{"explain", "lakeside-dt.nickname", "chat1/u1"},
		{"explain", "lakeside-dt.nickname", "chat1/u1", "--show-personal-data"},
		{"explain", "lakeside-dt.nickname", "c/" + hostile},
		{"explain", "t" + hostile + ".nickname", "c/u"},
		{"explain", "--task", hostile},
		{"explain", "--task", "h1"},
		{"runs", "list"},
		{"runs", "show", hostile},
		{"ids", "list"},
		{"ids", "list", "--show-personal-data"},
		{"ids", "confirm", "--tenant", "lakeside-dt", "--user", hostile},
		{"repair"},
		{"repair", "lakeside-dt.nickname", "chat1/u1"},
		{"lanes", "hold", "tenant", hostile, "--reason", hostile},
		{"lanes", "release", hostile},
		{hostile},
		{"lanes", "--" + hostile},
	} {
		for _, asJSON := range []bool{false, true} {
			all := append([]string{"--redis", url}, args...)
			if asJSON {
				all = append(all, "--json")
			}
			var out, errs bytes.Buffer
			code := cli.Main("rollcall", cli.Process{
				Args: all, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
				Hostname: func() (string, error) { return "host", nil },
			}, command)
			name := fmt.Sprintf("%.60q (exit code %d)", all[2:], code)
			if strings.Contains(out.String()+errs.String(), "FORGED") {
				printed++
			}
			judge(t, name, errs.String())
			if !asJSON {
				judge(t, name, strings.ReplaceAll(strings.TrimPrefix(out.String(), "\ufeff"), "\r\n", "\n"))
				continue
			}
			for line := range strings.Lines(out.String()) {
				judge(t, name, line)
				if !jsontext.Value(line).IsValid() {
					t.Errorf("%s: no JSON: %q", name, line)
				}
			}
		}
	}
	if printed < 25 {
		t.Errorf("only %d outputs contain the text: the test proves little", printed)
	}
}

// judge finds what a terminal would obey, and lines that are not ours.
func judge(t *testing.T, name, text string) {
	t.Helper()
	obeyed := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028'
	}
	if i := strings.IndexFunc(text, obeyed); i >= 0 {
		t.Errorf("%s prints what a terminal obeys: %q", name, text[max(0, i-40):min(len(text), i+40)])
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "FORGED") && !strings.HasPrefix(line, "  ") { // an indented line is a wrapped one
			t.Errorf("%s has a forged line: %q", name, line)
		}
	}
}

// A spreadsheet computes none of the cells.
func TestNoCellOfAnExportIsAFormula(t *testing.T) {
	t.Parallel()
	url, rdb := served(t)
	if err := seedHostile(t.Context(), rdb); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cli.Main("rollcall", cli.Process{
		Args: []string{"--redis", url, "dead", "export", "--show-personal-data"}, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
	}, command)
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v; %s", len(rows), err, errs.String())
	}
	inert := 0
	for _, row := range rows[1:] {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
				t.Errorf("a cell is a formula: %q", cell)
			}
			if strings.HasPrefix(cell, "'") {
				inert++
			}
		}
	}
	if inert < 5 {
		t.Errorf("only %d cells were formulas", inert)
	}
}
