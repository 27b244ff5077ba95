package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rollcall/internal/night"
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
