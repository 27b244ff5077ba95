package night_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/internal/source"
	"rollcall/tasks"
)

// edition is what is wrong with the export of a night.
type edition struct {
	without string // class that is left out
	cut     bool   // the file ends within a row
	again   bool   // there is no new file, and the last one was removed
	late    bool   // there is no file at the time of the tick
}

// write writes the export of a night.
func (s *term) write(n int) {
	s.t.Helper()
	path := filepath.Join(s.directory, fmt.Sprintf("roster-%02d.csv", n))
	var text strings.Builder
	w := csv.NewWriter(&text)
	rows := [][]string{{"user_id", "student_uid", "name", "class", "role", "status"}}
	for _, p := range s.roster {
		if p.class != s.export.without {
			rows = append(rows, []string{p.user, p.uid, p.name, p.class, p.role, p.status})
		}
	}
	if err := w.WriteAll(rows); err != nil {
		s.t.Fatal(err)
	}
	content := text.String()
	if s.export.cut {
		half := content[:len(content)/2]
		content = half[:strings.LastIndexByte(half, ',')]
	}
	at := tickOf(n).Add(-time.Hour)
	err := os.WriteFile(path, []byte(content), 0o600)
	if err == nil {
		err = os.Chtimes(path, at, at)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// remove removes the exports of some nights.
func (s *term) remove(from, to int) {
	s.t.Helper()
	for n := from; n <= to; n++ {
		err := os.Remove(filepath.Join(s.directory, fmt.Sprintf("roster-%02d.csv", n)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
}

func (s *term) announce(_ context.Context, r night.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced[r.Schedule+" "+r.Tick.String()] = true
	return nil
}

// notified reports whether others were notified of a night.
func (s *term) notified(schedule string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced[schedule+" "+tickOf(n).String()]
}

// carryOut carries out one schedule's night, and waits until it has ended, waits for its
// source, or needs a person.
func (s *term) carryOut(each night.Night, n int) night.Report {
	s.t.Helper()
	_, err := s.nights.Run(s.t.Context(), each, tickOf(n))
	if _, waits := errors.AsType[*source.Error](err); err != nil && !waits {
		s.t.Fatalf("night %d of %s: %v\n%s", n, each.Name, err, s.log)
	}
	return s.until(each, n, func(r night.Report) bool {
		return r.Final() || len(r.Decide) > 0 || r.State == night.StateWaiting
	})
}

// until waits until the report of a night is as it should be.
func (s *term) until(each night.Night, n int, done func(night.Report) bool) night.Report {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		s.release()
		if err := s.nights.Settle(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		history, err := s.nights.History(s.t.Context(), each.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		var got night.Report
		for _, r := range history {
			if r.Tick.Equal(tickOf(n)) {
				got = r
			}
		}
		if done(got) {
			return got
		}
		if time.Now().After(end) {
			s.t.Fatalf("night %d of %s is %+v\n%s", n, each.Name, got, s.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// ban is how long the platform bans an address.
const ban = 5 * time.Minute

// release ends the holds of a ban once it is over, as rollcall lanes release --force does:
// they end by the clock of the machine, which the test does not move.
func (s *term) release() {
	s.t.Helper()
	if !s.banned {
		return
	}
	holds := hold.NewStore(s.rdb)
	if err := holds.Refresh(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	for _, h := range holds.All() {
		if h.Class != hold.Banned {
			continue
		}
		if !s.passed {
			if s.active() {
				return
			}
			s.passed = true
			s.pass(ban)
		}
		if _, err := holds.End(s.t.Context(), h, "ann"); err != nil {
			s.t.Fatal(err)
		}
		var lanes []pace.Ref
		for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
			lanes = append(lanes, pace.Ref{Organisation: organisation, Lane: registry.Queue(tenant, kind, false)})
		}
		if err := pace.Resume(s.t.Context(), s.rdb, lanes...); err != nil {
			s.t.Fatal(err)
		}
	}
}

// active reports whether an attempt at a nickname runs. Leases of attempts end by the clock
// that the test moves.
func (s *term) active() bool {
	s.t.Helper()
	n, err := s.rdb.LLen(s.t.Context(), "asynq:{"+registry.Queue(tenant, tasks.KindNickname, false)+"}:active").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return n > 0
}

// spent returns the calls of the month as rollcall counts them, once those that were not
// made are given back. The platform does not count calls whose token it refuses; rollcall
// does.
func (s *term) spent() int {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		months, err := pace.ReadMonths(s.t.Context(), s.rdb, organisation)
		if err != nil {
			s.t.Fatal(err)
		}
		platform, _ := s.box.State().Organisation(organisation)
		refused := 0
		for _, c := range s.box.Calls() {
			if c.Code == "40014" {
				refused++
			}
		}
		if months[0].Spent == int64(platform.Spent+refused) {
			return platform.Spent + refused
		}
		if time.Now().After(end) {
			s.t.Fatalf("rollcall counts %d calls of the month, the platform %d, and %d with a refused token", months[0].Spent, platform.Spent, refused)
		}
		<-time.After(20 * time.Millisecond)
	}
}
