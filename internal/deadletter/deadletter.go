// Package deadletter is what a person does with dead letters: find them, replay them
// unchanged or corrected, or discard them.
//
// It must not know platforms, lanes or verdicts: a class and a code are only texts to
// it, and a replayed task passes through its queue like every other.
package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// page is how many dead letters are in memory at a time. A payload has at most
// kinds.MaxPayload bytes.
const page = 100

// Filter selects dead letters. The zero value selects all.
type Filter struct {
	Tenant string
	Kind   tasks.Kind
	Class  string
	Code   string
	// Run is the run that the tasks belong to. There is no index by run: all dead
	// letters that the rest of the filter selects are read.
	Run string
	// Since and Until bound the time of death, both inclusive.
	Since, Until time.Time
}

// Zero reports whether the filter selects all.
func (f Filter) Zero() bool { return f == Filter{} }

func (f Filter) lane(name string) bool {
	tenant, kind, _ := strings.Cut(name, ".")
	return (f.Tenant == "" || f.Tenant == tenant) && (f.Kind == "" || string(f.Kind) == kind)
}

// Desk finds, replays and discards dead letters. Its methods are safe for concurrent
// use.
type Desk struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
}

// New returns a Desk. The caller closes both clients. Without client nothing can be
// replayed.
func New(rdb redis.UniversalClient, client *enqueue.Client) *Desk {
	return &Desk{rdb: rdb, ledger: ledger.New(rdb), client: client}
}

// Cause is a group of dead letters with one class and code.
type Cause struct {
	Class, Code string
	Letters     int64
	Lanes       []string // sorted
	Newest      time.Time
	Todo        string
}

// Causes counts the dead letters by cause, the most frequent first. Cost: a few round
// trips per cause and lane, for any number of dead letters; with Run set, it reads them
// all.
func (d *Desk) Causes(ctx context.Context, f Filter) ([]Cause, error) {
	heaps, err := d.heaps(ctx, f)
	if err != nil {
		return nil, err
	}
	at := map[[2]string]*Cause{}
	for _, h := range heaps {
		if h.letters == 0 {
			continue
		}
		id := [2]string{h.Class, h.Code}
		c := at[id]
		if c == nil {
			c = &Cause{Class: h.Class, Code: h.Code}
			at[id] = c
		}
		c.Letters += h.letters
		c.Lanes = append(c.Lanes, h.Lane)
		err := d.pages(ctx, h, 1, func(newest []ledger.Letter) (bool, error) {
			if newest[0].Last.After(c.Newest) {
				c.Newest, c.Todo = newest[0].Last, cmp.Or(newest[0].Todo, Advice(c.Class))
			}
			return false, nil
		})
		if err != nil {
			return nil, err
		}
	}
	causes := make([]Cause, 0, len(at))
	for _, c := range at {
		causes = append(causes, *c)
	}
	slices.SortFunc(causes, func(x, y Cause) int {
		return cmp.Or(cmp.Compare(y.Letters, x.Letters), cmp.Compare(x.Class, y.Class), cmp.Compare(x.Code, y.Code))
	})
	return causes, nil
}

// heap is the dead letters of one lane and cause.
type heap struct {
	ledger.Letters

	run     string // only those of this run; empty: all
	letters int64
}

// heaps returns the heaps that a filter selects, each with its count. It reads only the
// indexes, unless Run is set.
func (d *Desk) heaps(ctx context.Context, f Filter) ([]heap, error) {
	lanes, err := d.ledger.BuriedLanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(name string) bool { return !f.lane(name) })
	if len(lanes) == 0 {
		return nil, nil
	}
	counts, err := d.ledger.DeadCauses(ctx, lanes...)
	if err != nil {
		return nil, err
	}
	var heaps []heap
	for _, lane := range lanes {
		for _, c := range counts[lane] {
			if f.Class != "" && f.Class != c.Class || f.Code != "" && f.Code != c.Code {
				continue
			}
			h := heap{run: f.Run, letters: c.Letters, Letters: ledger.Letters{
				Lane: lane, ByCause: true, Class: c.Class, Code: c.Code, Since: f.Since, Until: f.Until,
			}}
			switch {
			case f.Run != "":
				h.letters = 0
				err := d.pages(ctx, h, page, func(letters []ledger.Letter) (bool, error) {
					h.letters += int64(len(letters))
					return true, nil
				})
				if err != nil {
					return nil, err
				}
			case !f.Since.IsZero() || !f.Until.IsZero():
				if h.letters, err = d.ledger.DeadCount(ctx, h.Letters); err != nil {
					return nil, err
				}
			}
			heaps = append(heaps, h)
		}
	}
	return heaps, nil
}

// Count returns how many dead letters a filter selects.
func (d *Desk) Count(ctx context.Context, f Filter) (int64, error) {
	heaps, err := d.heaps(ctx, f)
	var n int64
	for _, h := range heaps {
		n += h.letters
	}
	return n, err
}

// Newest returns the n newest dead letters that a filter selects, newest first. At most
// 2n and a page are in memory.
func (d *Desk) Newest(ctx context.Context, f Filter, n int) ([]ledger.Letter, error) {
	heaps, err := d.heaps(ctx, f)
	if err != nil {
		return nil, err
	}
	var newest []ledger.Letter
	for _, h := range heaps {
		left := n
		err := d.pages(ctx, h, page, func(letters []ledger.Letter) (bool, error) {
			letters = letters[:min(len(letters), left)]
			left -= len(letters)
			newest = append(newest, letters...)
			return left > 0, nil
		})
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(newest, func(x, y ledger.Letter) int { return y.Last.Compare(x.Last) })
		newest = slices.Clip(newest[:min(len(newest), n)])
	}
	return newest, nil
}

// Each calls do with the dead letters that a filter selects, a page at a time, by lane
// and cause, newest first. do may remove dead letters without affecting the order.
// Tasks that die in the meantime are not included. It ends with the first error of do.
func (d *Desk) Each(ctx context.Context, f Filter, do func([]ledger.Letter) error) error {
	heaps, err := d.heaps(ctx, f)
	if err != nil {
		return err
	}
	for _, h := range heaps {
		err := d.pages(ctx, h, page, func(letters []ledger.Letter) (bool, error) { return true, do(letters) })
		if err != nil {
			return err
		}
	}
	return nil
}

// pages calls do with the dead letters of a heap, at most n at a time and at least one.
func (d *Desk) pages(ctx context.Context, h heap, n int, do func([]ledger.Letter) (more bool, err error)) error {
	if h.run != "" {
		n = page // most belong to other runs
	}
	var from ledger.Cursor
	for {
		letters, next, err := d.ledger.DeadPage(ctx, h.Letters, from, n)
		if err != nil {
			return err
		}
		if h.run != "" {
			letters = slices.DeleteFunc(letters, func(l ledger.Letter) bool { return l.Run != h.run })
		}
		if len(letters) > 0 {
			more, err := do(letters)
			if err != nil || !more {
				return err
			}
		}
		if next == "" {
			return nil
		}
		from = next
	}
}

// MissingError reports that no dead letter has an id.
type MissingError struct{ ID string }

// Error includes how to list the existing ones.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no dead letter has the id %.100q: it was dealt with, or never was one; rollcall dead list shows those that are there", e.ID)
}

// Find returns the dead letter of a task, or a *MissingError. Cost: one round trip per
// lane.
func (d *Desk) Find(ctx context.Context, id string) (ledger.Letter, error) {
	lanes, err := d.ledger.BuriedLanes(ctx)
	if err != nil {
		return ledger.Letter{}, err
	}
	for _, lane := range lanes {
		letter, found, err := d.ledger.Letter(ctx, lane, id)
		if err != nil || found {
			return letter, err
		}
	}
	return ledger.Letter{}, &MissingError{ID: id}
}

// Closed returns the n newest automatically closed dead letters, newest first, of the
// lanes that a filter selects. Of the rest of the filter only Class, Code and the times
// apply.
func (d *Desk) Closed(ctx context.Context, f Filter, n int) ([]ledger.ClosedLetter, error) {
	lanes, err := d.ledger.BuriedLanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(name string) bool { return !f.lane(name) })
	all, err := d.ledger.ClosedLetters(ctx, closedRead, lanes...)
	all = slices.DeleteFunc(all, func(c ledger.ClosedLetter) bool {
		return f.Class != "" && f.Class != c.Class || f.Code != "" && f.Code != c.Code ||
			c.Last.Before(f.Since) || !f.Until.IsZero() && c.Last.After(f.Until)
	})
	return all[:min(n, len(all))], err
}

// closedRead bounds how many closed dead letters are read: usually all of a lane.
const closedRead = 10_000
