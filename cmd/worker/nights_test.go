package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/night"
	"rollcall/internal/source"
)

func TestTheEventOfANightHasNoTexts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 18, 37, 0, 0, time.UTC)
	e := nightEvent(night.Report{
		Schedule: "nightly", Tick: at, State: night.StateHeld, Run: "r1", Tenants: []string{"lakeside-dt"}, Rows: 300,
		Decide: []string{"shrunk: 20 of 300 members are missing", "paused: by Ann"}, Why: "a text", Problems: []string{"line 7: a text"},
	})
	body, err := json.Marshal(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"members are missing", "Ann", "a text"} {
		if strings.Contains(string(body), text) {
			t.Errorf("the event has %q: %s", text, body)
		}
	}
	if !strings.Contains(string(body), `"decide":["shrunk","paused"]`) || !strings.Contains(string(body), `"rows":300`) {
		t.Errorf("the event lacks guards or counts: %s", body)
	}
	if e.ID != "night-nightly-1795977420-held" || e.Type != "night.report" || len(e.Tenants) != 1 {
		t.Errorf("the event is %s %s %v", e.ID, e.Type, e.Tenants)
	}
	if e := nightEvent(night.Report{Schedule: "nightly", Tick: at, State: night.StateFailed, Tenants: []string{}}); e.Tenants != nil {
		t.Errorf("a source that cannot be read concerns %v, want all tenants", e.Tenants)
	}
}

func TestTheNewestRosterIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, age time.Duration) {
		path := writeFile(t, dir, name, content)
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	read := func(pattern string) (source.Reading, []string, error) {
		var rows []string
		reading, err := rosterFiles{pattern: filepath.Join(dir, pattern)}.Read(t.Context(), func(_ []string, r source.Record) error {
			rows = append(rows, r.At+" "+strings.Join(r.Fields, ","))
			return nil
		})
		return reading, rows, err
	}
	write("roster-2.csv", "chat_id,user_id,nickname\nc,u,old\n", time.Hour)
	write("roster-1.csv", "chat_id,user_id,nickname\nc,u,new\n", time.Minute)
	write(".roster-3.csv", "hidden", 0)
	reading, rows, err := read("*roster-*.csv")
	if err != nil || !reading.Complete || len(rows) != 1 || rows[0] != "line 2 c,u,new" || reading.Version == "" || reading.Modified.IsZero() {
		t.Errorf("read %v of %+v, %v", rows, reading, err)
	}
	write("cut.csv", "chat_id,user_id,nickname\nc,u,new\nc,u2", 0)
	if reading, _, err := read("cut.csv"); err != nil || reading.Complete || reading.Why == "" {
		t.Errorf("a file that was cut is %+v, %v; want an incomplete reading", reading, err)
	}
	for pattern, want := range map[string]source.Cause{"none*.csv": source.Missing, "[": source.Malformed} {
		_, _, err := read(pattern)
		if fault, ok := err.(*source.Error); !ok || fault.Cause != want { //nolint:errorlint // it is not wrapped
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}
