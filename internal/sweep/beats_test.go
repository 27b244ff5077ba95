package sweep_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/backlog"
	"rollcall/internal/sweep"
)

var began = time.UnixMilli(1_763_762_142_000)

// at returns what a look finds so many seconds after the start, by the clock of Redis:
// one task with a lease.
func at(seconds float64, lease string) backlog.Look {
	return backlog.Look{
		Now:    began.Add(time.Duration(seconds * float64(time.Second))),
		Active: []backlog.Active{{ID: "task", Lease: lease}},
	}
}

var unavailable = backlog.Look{Err: errors.New("no answer")}

func TestAWorkerCountsAsDeadWhenItsLeaseIsUnchangedFor20SecondsAnd4Looks(t *testing.T) {
	t.Parallel()
	none := backlog.Look{Now: began.Add(10 * time.Second)}
	for name, row := range map[string]struct {
		looks []backlog.Look
		dead  bool // at the last; at none before
	}{
		"every 5 s":                      {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, "a"), at(15, "a"), at(20, "a")}, true},
		"every 5 s, a little early":      {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, "a"), at(15, "a"), at(19.999, "a")}, false},
		"four looks":                     {[]backlog.Look{at(0, "a"), at(7, "a"), at(14, "a"), at(21, "a")}, true},
		"three looks":                    {[]backlog.Look{at(0, "a"), at(11, "a"), at(22, "a")}, false},
		"without a lease":                {[]backlog.Look{at(0, ""), at(5, ""), at(10, ""), at(15, ""), at(20, "")}, true},
		"the lease is lost on the way":   {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, ""), at(15, ""), at(20, "")}, false},
		"it moves once":                  {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, "b"), at(15, "b"), at(20, "b"), at(25, "b")}, false},
		"it moves back":                  {[]backlog.Look{at(0, "2"), at(5, "2"), at(10, "1"), at(15, "1"), at(20, "1"), at(25, "1")}, false},
		"it moved and then died":         {[]backlog.Look{at(0, "a"), at(5, "b"), at(10, "b"), at(15, "b"), at(20, "b"), at(25, "b")}, true},
		"a look fails":                   {[]backlog.Look{at(0, "a"), at(5, "a"), unavailable, at(15, "a"), at(20, "a"), at(25, "a"), at(30, "a")}, false},
		"a look fails, the next succeed": {[]backlog.Look{at(0, "a"), unavailable, at(10, "a"), at(15, "a"), at(20, "a"), at(25, "a"), at(30, "a")}, true},
		"a look waited for an outage":    {[]backlog.Look{at(0, "a"), at(13, "a"), at(18, "a"), at(23, "a"), at(28, "a")}, false},
		"Redis' clock is set ahead":      {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, "a"), at(3600, "a")}, false},
		"Redis' clock is set back":       {[]backlog.Look{at(0, "a"), at(5, "a"), at(10, "a"), at(-9, "a"), at(-4, "a"), at(1, "a"), at(6, "a")}, false},
		"it was not listed once":         {[]backlog.Look{at(0, "a"), at(5, "a"), none, at(15, "a"), at(20, "a"), at(25, "a")}, false},
	} {
		var beats sweep.Beats
		for i, look := range row.looks {
			orphans := beats.Look(look)
			if dead := len(orphans) == 1; dead != (row.dead && i == len(row.looks)-1) {
				t.Errorf("%s: look %d finds the worker dead: %t", name, i+1, dead)
			}
			if len(orphans) == 1 && (orphans[0].Active != look.Active[0] || look.Now.Sub(orphans[0].Since) < 20*time.Second) {
				t.Errorf("%s: it is found as %+v", name, orphans[0])
			}
		}
	}
}

func TestLooksAreCountedPerTask(t *testing.T) {
	t.Parallel()
	var beats sweep.Beats
	var dead []string
	for i := range 6 {
		look := at(float64(5*i), strconv.Itoa(i)) // task: its worker is alive
		look.Active = append(look.Active, backlog.Active{ID: "old", Lease: "1"})
		if i > 0 {
			look.Active = append(look.Active, backlog.Active{ID: "late", Lease: "1"})
		}
		for _, orphan := range beats.Look(look) {
			dead = append(dead, fmt.Sprint(orphan.ID, i))
		}
	}
	if want := []string{"old4", "old5", "late5"}; !slices.Equal(dead, want) {
		t.Errorf("tasks of dead workers: %v, want %v", dead, want)
	}
}

// Workers renew their leases every 5 s while Redis is available, and a sweeper looks
// every 5 s. Redis goes up and down, and stays up long enough for one renewal. Some
// looks are slow, and worker clocks are set. None of this may count as the death of a
// worker.
func TestAWorkerThatCanRenewItsLeaseNeverCountsAsDead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			beats     sweep.Beats
			clock     int // the machine's clock, in tenths of a second
			lease     = 1000
			nextBeat  = rapid.IntRange(0, 50).Draw(t, "first beat")
			nextLook  = rapid.IntRange(0, 50).Draw(t, "first look")
			downUntil = 0
		)
		for clock < 3000 {
			if clock > downUntil+100 && rapid.IntRange(0, 99).Draw(t, "outage?") == 0 {
				downUntil = clock + rapid.IntRange(1, 400).Draw(t, "outage")
			}
			down := clock < downUntil
			if clock >= nextBeat {
				if !down {
					lease += rapid.SampledFrom([]int{5, 5, 5, -600, 600}).Draw(t, "the worker's clock")
				}
				nextBeat = clock + 50
			}
			if clock >= nextLook {
				switch {
				case !down:
					if orphans := beats.Look(at(float64(clock)/10, strconv.Itoa(lease))); len(orphans) > 0 {
						t.Fatalf("at %d its worker counts as dead: %+v", clock, orphans)
					}
					nextLook += 50
				case downUntil-clock < 50 && rapid.Bool().Draw(t, "the look waits"):
					nextLook = downUntil
				default:
					beats.Look(unavailable)
					nextLook += 50
				}
			}
			clock += 5
		}
	})
}
