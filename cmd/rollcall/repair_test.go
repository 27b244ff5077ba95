package main

import (
	"bytes"
	"strings"
	"testing"

	"rollcall/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// A damaged run is shown by its list, named with what is lost, repaired, and recorded.
func TestADamagedRunIsShownRepairedAndRecorded(t *testing.T) {
	t.Parallel()
	url, rdb := served(t)
	command := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		code := cli.Main("rollcall", cli.Process{
			Args: append([]string{"--redis", url}, args...), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
		}, command)
		if code != want {
			t.Errorf("%q: exit code %d, want %d:\n%s", args, code, want, out.String())
		}
		return out.String()
	}
	service := run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})
	planned := func(n string) run.Run {
		t.Helper()
		made, err := service.Create(t.Context(), run.Draft{Name: n})
		if err != nil {
			t.Fatal(err)
		}
		rows := []run.Row{{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: n}}}}
		if _, err := service.Add(t.Context(), made.ID, 0, rows); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Seal(t.Context(), made.ID, 1); err != nil {
			t.Fatal(err)
		}
		if made, err = service.Plan(t.Context(), made.ID, nil); err != nil {
			t.Fatal(err)
		}
		return made
	}
	bad, good := planned("bad"), planned("good")
	if out := command(0, "repair"); out != "no damaged keys\n" {
		t.Errorf("before:\n%s", out)
	}
	key := "rollcall:{run:" + bad.ID + "}:"
	rdb.HSet(t.Context(), key+"run", "state", "plan")
	rdb.Set(t.Context(), key+"plan:0", "another program", 0)
	if out := command(0, "run", "list"); !strings.Contains(out, "good") || !strings.Contains(out, "damaged") {
		t.Errorf("run list:\n%s", out)
	}
	for _, args := range [][]string{{"repair"}, {"repair", "--run", bad.ID}} {
		if out := command(0, args...); !strings.Contains(out, key+"run") || !strings.Contains(out, key+"plan:0") || !strings.Contains(out, "up to 256 rows") {
			t.Errorf("%q:\n%s", args, out)
		}
	}
	if out := command(0, "run", "show", good.ID); !strings.Contains(out, "good") {
		t.Errorf("run show of the other run:\n%s", out)
	}
	if out := command(0, "repair", "--run", bad.ID, "--all", "--yes", "--by", "ann"); strings.Count(out, "repaired; lost:") != 2 {
		t.Errorf("the repair:\n%s", out)
	}
	if out := command(0, "repair"); out != "no damaged keys\n" {
		t.Errorf("after:\n%s", out)
	}
	if out := command(0, "lanes", "events"); strings.Count(out, "key.discarded") != 2 || !strings.Contains(out, "ann") {
		t.Errorf("events:\n%s", out)
	}
	if got, err := service.Get(t.Context(), bad.ID); err != nil || got.State != run.StateUploading {
		t.Errorf("the run is %s, %v", got.State, err)
	}

	// Also the results of a run that has ended.
	if _, err := service.Cancel(t.Context(), good.ID, "ann", ""); err != nil {
		t.Fatal(err)
	}
	results := ledger.RunKeys("lakeside", "nickname", ledger.RunName{Tenant: "lakeside-dt", Run: good.ID}, 1)[0].Key
	rdb.SAdd(t.Context(), results, "another program")
	if out := command(0, "repair", "--all", "--yes", "--by", "ann"); !strings.Contains(out, results) || strings.Count(out, "repaired; lost:") != 1 {
		t.Errorf("the repair of results:\n%s", out)
	}
	if out := command(0, "repair"); out != "no damaged keys\n" {
		t.Errorf("after the repair of results:\n%s", out)
	}
}
