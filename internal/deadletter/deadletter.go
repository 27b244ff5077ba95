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
	"rollcall/internal/outcome"
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
	// ByCause says that Class and Code are those of one cause: an empty Code selects the
	// dead letters without one.
	ByCause bool
	// Run is the run that the tasks belong to. There is no index by run: all dead
	// letters that the rest of the filter selects are read.
	Run string
	// Since and Until bound the time of death, both inclusive.
	Since, Until time.Time
	// Lanes reports whether a lane is selected, by its name. nil: all are.
	Lanes func(name string) bool
}

// Zero reports whether the filter selects all.
func (f Filter) Zero() bool {
	return f.Tenant == "" && f.Kind == "" && f.Class == "" && f.Code == "" && !f.ByCause && f.Run == "" && f.Since.IsZero() && f.Until.IsZero() && f.Lanes == nil
}

func (f Filter) lane(name string) bool {
	tenant, kind, _ := strings.Cut(name, ".")
	return (f.Tenant == "" || f.Tenant == tenant) && (f.Kind == "" || string(f.Kind) == kind) && (f.Lanes == nil || f.Lanes(name))
}

func (f Filter) cause(class, code string) bool {
	if f.ByCause {
		return f.Class == class && f.Code == code
	}
	return (f.Class == "" || f.Class == class) && (f.Code == "" || f.Code == code)
}

// Service finds, replays and discards dead letters. Its methods are safe for concurrent
// use.
type Service struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
}

// New returns a Service. The caller closes both clients. Without client nothing can be
// replayed.
func New(rdb redis.UniversalClient, client *enqueue.Client) *Service {
	return &Service{rdb: rdb, ledger: ledger.New(rdb), client: client}
}

// OnDamage sets what is called for each damaged entry of an index that is skipped.
func (d *Service) OnDamage(report func(ledger.Damage)) { d.ledger.OnDamage(report) }

// Cause is a group of dead letters with one class and code.
type Cause struct {
	Class, Code string
	DeadLetters int64
	Lanes       []string // sorted
	Latest      time.Time
	Todo        string
}

// Causes counts the dead letters by cause, the most frequent first. Cost: a few round
// trips per cause and lane, for any number of dead letters; with Run set, it reads them
// all.
func (d *Service) Causes(ctx context.Context, f Filter) ([]Cause, error) {
	selected, err := d.selections(ctx, f)
	if err != nil {
		return nil, err
	}
	at := map[[2]string]*Cause{}
	for _, h := range selected {
		if h.deadLetters == 0 {
			continue
		}
		id := [2]string{h.Class, h.Code}
		c := at[id]
		if c == nil {
			c = &Cause{Class: h.Class, Code: h.Code}
			at[id] = c
		}
		c.DeadLetters += h.deadLetters
		c.Lanes = append(c.Lanes, h.Lane)
		err := d.pages(ctx, h, 1, func(latest []ledger.DeadLetter) (bool, error) {
			if latest[0].Last.After(c.Latest) {
				c.Latest, c.Todo = latest[0].Last, cmp.Or(latest[0].Todo, outcome.Class(c.Class).Rule().Advice)
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
		return cmp.Or(cmp.Compare(y.DeadLetters, x.DeadLetters), cmp.Compare(x.Class, y.Class), cmp.Compare(x.Code, y.Code))
	})
	return causes, nil
}

// selection is the dead letters of one lane and cause.
type selection struct {
	ledger.DeadLetterFilter

	run         string // only those of this run; empty: all
	deadLetters int64
}

// selections returns what a filter selects, by lane and cause, each with its count. It reads only the
// indexes, unless Run is set.
func (d *Service) selections(ctx context.Context, f Filter) ([]selection, error) {
	lanes, err := d.ledger.DeadLetterLanes(ctx)
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
	var selected []selection
	for _, lane := range lanes {
		for _, c := range counts[lane] {
			if !f.cause(c.Class, c.Code) {
				continue
			}
			h := selection{run: f.Run, deadLetters: c.DeadLetters, DeadLetterFilter: ledger.DeadLetterFilter{
				Lane: lane, ByCause: true, Class: c.Class, Code: c.Code, Since: f.Since, Until: f.Until,
			}}
			switch {
			case f.Run != "":
				h.deadLetters = 0
				err := d.pages(ctx, h, page, func(dead []ledger.DeadLetter) (bool, error) {
					h.deadLetters += int64(len(dead))
					return true, nil
				})
				if err != nil {
					return nil, err
				}
			case !f.Since.IsZero() || !f.Until.IsZero():
				if h.deadLetters, err = d.ledger.DeadCount(ctx, h.DeadLetterFilter); err != nil {
					return nil, err
				}
			}
			selected = append(selected, h)
		}
	}
	return selected, nil
}

// Latest returns the n newest dead letters that a filter selects, newest first. At most
// 2n and a page are in memory.
func (d *Service) Latest(ctx context.Context, f Filter, n int) ([]ledger.DeadLetter, error) {
	selected, err := d.selections(ctx, f)
	if err != nil {
		return nil, err
	}
	var latest []ledger.DeadLetter
	for _, h := range selected {
		left := n
		err := d.pages(ctx, h, page, func(dead []ledger.DeadLetter) (bool, error) {
			dead = dead[:min(len(dead), left)]
			left -= len(dead)
			latest = append(latest, dead...)
			return left > 0, nil
		})
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(latest, func(x, y ledger.DeadLetter) int { return y.Last.Compare(x.Last) })
		latest = slices.Clip(latest[:min(len(latest), n)])
	}
	return latest, nil
}

// Each calls do with the dead letters that a filter selects, a page at a time, by lane
// and cause, newest first. do may remove dead letters without affecting the order.
// Tasks that die in the meantime are not included. It ends with the first error of do.
func (d *Service) Each(ctx context.Context, f Filter, do func([]ledger.DeadLetter) error) error {
	selected, err := d.selections(ctx, f)
	if err != nil {
		return err
	}
	for _, h := range selected {
		err := d.pages(ctx, h, page, func(dead []ledger.DeadLetter) (bool, error) { return true, do(dead) })
		if err != nil {
			return err
		}
	}
	return nil
}

// pages calls do with the dead letters of a selection, at most n at a time and at least one.
func (d *Service) pages(ctx context.Context, h selection, n int, do func([]ledger.DeadLetter) (more bool, err error)) error {
	if h.run != "" {
		n = page // most belong to other runs
	}
	var from ledger.Cursor
	for {
		dead, next, err := d.ledger.DeadPage(ctx, h.DeadLetterFilter, from, n)
		if err != nil {
			return err
		}
		if h.run != "" {
			dead = slices.DeleteFunc(dead, func(l ledger.DeadLetter) bool { return l.Run != h.run })
		}
		if len(dead) > 0 {
			more, err := do(dead)
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
func (d *Service) Find(ctx context.Context, id string) (ledger.DeadLetter, error) {
	lanes, err := d.ledger.DeadLetterLanes(ctx)
	if err != nil {
		return ledger.DeadLetter{}, err
	}
	for _, lane := range lanes {
		dead, found, err := d.ledger.DeadLetter(ctx, lane, id)
		if err != nil || found {
			return dead, err
		}
	}
	return ledger.DeadLetter{}, &MissingError{ID: id}
}

// Closed returns the n newest automatically closed dead letters, newest first, of the
// lanes that a filter selects. Of the rest of the filter only Class, Code and the times
// apply.
func (d *Service) Closed(ctx context.Context, f Filter, n int) ([]ledger.ClosedDeadLetter, error) {
	lanes, err := d.ledger.DeadLetterLanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(name string) bool { return !f.lane(name) })
	all, err := d.ledger.ClosedDeadLetters(ctx, closedRead, lanes...)
	all = slices.DeleteFunc(all, func(c ledger.ClosedDeadLetter) bool {
		return !f.cause(c.Class, c.Code) || c.Last.Before(f.Since) || !f.Until.IsZero() && c.Last.After(f.Until)
	})
	return all[:min(n, len(all))], err
}

// closedRead bounds how many closed dead letters are read: usually all of a lane.
const closedRead = 10_000
