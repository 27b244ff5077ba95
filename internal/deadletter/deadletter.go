// Package deadletter is what a person does with dead letters: find them, have
// them tried again, as they were or corrected, or throw them away.
//
// It must not know platforms, lanes or verdicts: a class and a code are words to
// it, and a letter that is tried again goes the way of every task, through its
// queue.
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

// page is how many letters are in memory at a time. A payload has at most
// kinds.MaxPayload bytes.
const page = 100

// Filter says which letters are meant. The zero value: all.
type Filter struct {
	Tenant string
	Kind   tasks.Kind
	Class  string
	Code   string
	// Run is what the tasks came in with. Letters are not listed by it: all that the
	// rest of the filter leaves are read.
	Run string
	// Since and Until bound the time of death, both included.
	Since, Until time.Time
}

// Zero tells that nothing is left out.
func (f Filter) Zero() bool { return f == Filter{} }

func (f Filter) lane(name string) bool {
	tenant, kind, _ := strings.Cut(name, ".")
	return (f.Tenant == "" || f.Tenant == tenant) && (f.Kind == "" || string(f.Kind) == kind)
}

// Desk is where dead letters are dealt with. Its methods are safe for
// concurrent use.
type Desk struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
}

// New returns a desk. Both clients stay the caller's to close; without client
// nothing can be replayed.
func New(rdb redis.UniversalClient, client *enqueue.Client) *Desk {
	return &Desk{rdb: rdb, ledger: ledger.New(rdb), client: client}
}

// Cause is a reason for which letters lie here.
type Cause struct {
	Class, Code string
	Letters     int64
	Lanes       []string // sorted
	Newest      time.Time
	Todo        string
}

// Causes counts the letters by cause, the most frequent first. It costs a few
// round trips a cause and lane, however many letters there are; of a run, a reading
// of them all.
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

// heap is the letters of one lane and cause.
type heap struct {
	ledger.Letters

	run     string // those of one run alone; empty: all
	letters int64
}

// heaps are those that a filter leaves, each with its count. Nothing but the
// indexes is read, unless the letters of a run are to be counted.
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

// Count tells how many letters a filter leaves.
func (d *Desk) Count(ctx context.Context, f Filter) (int64, error) {
	heaps, err := d.heaps(ctx, f)
	var n int64
	for _, h := range heaps {
		n += h.letters
	}
	return n, err
}

// Newest returns the n newest letters that a filter leaves, newest first. At
// most 2n and a page are in memory.
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

// Each calls do with the letters that a filter leaves, a page at a time, lane by
// lane, cause by cause, newest first. What do removes moves nothing, and what
// dies meanwhile is not among them. It ends with do's first error.
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

// pages calls do with the letters of a heap, at most n at a time and at least one.
func (d *Desk) pages(ctx context.Context, h heap, n int, do func([]ledger.Letter) (more bool, err error)) error {
	if h.run != "" {
		n = page // most are of other runs
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

// MissingError tells that no letter has an id.
type MissingError struct{ ID string }

// Error says what to do.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no dead letter has the id %.100q: it was dealt with, or never was one; rollcall dead list shows those that are there", e.ID)
}

// Find returns the letter of a task, or a *MissingError. One round trip a lane.
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

// Closed returns the n newest letters that closed themselves, newest first, of the
// lanes that a filter leaves; its other parts but Class, Code and the times are not
// kept of them.
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

// closedRead bounds how many closed letters are read: all of a lane, as a rule.
const closedRead = 10_000
