package remote

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/problem"
	"rollcall/internal/wire"
)

// causesQuery are the parameters that select dead letters.
func causesQuery(f deadletter.Filter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"tenant": f.Tenant, "kind": string(f.Kind), "class": f.Class, "code": f.Code, "run": f.Run} {
		set(query, name, value)
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	return query
}

// Causes counts dead letters by cause, the most frequent first.
func (c *Client) Causes(ctx context.Context, f deadletter.Filter) ([]deadletter.Cause, error) {
	var out wire.Causes
	_, err := c.do(ctx, get(causesQuery(f), "dead-letters", "causes"), &out)
	var all []deadletter.Cause
	for _, cause := range out.Causes {
		all = append(all, deadletter.Cause(cause))
	}
	return all, err
}

// Dead are the dead letters at the API.
type Dead struct {
	*Client

	personal bool   // show names and ids of people, if the token may see them
	reason   string // of what is done
}

// Dead returns the dead letters at the API. People are masked unless personal. reason is
// that of what is done with them.
func (c *Client) Dead(personal bool, reason string) *Dead { return &Dead{c, personal, reason} }

// mostDead is how many dead letters the API returns at once, and mostSettled how many it
// settles.
const mostDead, mostSettled = 1000, 100

func (d *Dead) masked(query url.Values) url.Values {
	if !d.personal {
		query.Set("masked", "true")
	}
	return query
}

var errEnough = errors.New("enough")

// Latest returns the newest dead letters, newest first.
func (d *Dead) Latest(ctx context.Context, f deadletter.Filter, n int) ([]ledger.DeadLetter, error) {
	if n <= 0 {
		return nil, nil
	}
	var all []ledger.DeadLetter
	err := d.each(ctx, f, min(n, mostDead), func(page []ledger.DeadLetter) error {
		if all = append(all, page...); len(all) >= n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all[:min(n, len(all))], err
}

// Each calls do with the dead letters that a filter selects, newest first. do may settle
// them.
func (d *Dead) Each(ctx context.Context, f deadletter.Filter, do func([]ledger.DeadLetter) error) error {
	return d.each(ctx, f, mostDead, do)
}

func (d *Dead) each(ctx context.Context, f deadletter.Filter, limit int, do func([]ledger.DeadLetter) error) error {
	seen := map[string]bool{}
	for {
		query := d.masked(causesQuery(f))
		query.Set("limit", strconv.Itoa(limit))
		var out wire.DeadLetters
		if _, err := d.do(ctx, get(query, "dead-letters"), &out); err != nil {
			return err
		}
		var page []ledger.DeadLetter
		for _, v := range out.DeadLetters {
			if !seen[v.ID] {
				seen[v.ID], page = true, append(page, v.Letter())
			}
		}
		if len(page) > 0 {
			if d.personal {
				d.noteMasked(ctx)
			}
			if err := do(page); err != nil {
				return err
			}
		}
		if len(out.DeadLetters) < limit || len(page) == 0 {
			return nil
		}
		f.Until = out.DeadLetters[len(out.DeadLetters)-1].Last
	}
}

// Find returns a dead letter by its id.
func (d *Dead) Find(ctx context.Context, id string) (ledger.DeadLetter, error) {
	var v wire.DeadLetter
	if len(id) > longestID {
		return ledger.DeadLetter{}, &deadletter.MissingError{ID: id}
	}
	_, err := d.do(ctx, get(d.masked(url.Values{}), "dead-letters", id), &v)
	if named(err, problem.NotFound) {
		err = &deadletter.MissingError{ID: id}
	}
	return v.Letter(), err
}

// longestID is how long an id may be.
const longestID = 200

// Replay stores the tasks of dead letters again.
func (d *Dead) Replay(ctx context.Context, dead []ledger.DeadLetter) []deadletter.Settled {
	return d.settle(ctx, "replay", dead)
}

// Discard removes dead letters.
func (d *Dead) Discard(ctx context.Context, dead []ledger.DeadLetter) []deadletter.Settled {
	return d.settle(ctx, "discard", dead)
}

// settled is the result for a dead letter, as the service returns it.
func settled(of ledger.DeadLetter, v wire.SettledLetter) deadletter.Settled {
	s := deadletter.Settled{DeadLetter: of, Outcome: v.Outcome, TaskID: v.TaskID}
	if v.Detail != "" {
		s.Err = errors.New(v.Detail)
	}
	if v.Outcome == wire.Missing {
		s.Outcome, s.Err = deadletter.Refused, &deadletter.MissingError{ID: of.ID}
	}
	return s
}

func (d *Dead) settle(ctx context.Context, what string, dead []ledger.DeadLetter) (all []deadletter.Settled) {
	for some := range slices.Chunk(dead, mostSettled) {
		body := wire.Chosen{Reason: d.reason}
		for _, of := range some {
			body.IDs = append(body.IDs, of.ID)
		}
		var out wire.Settled
		_, err := d.do(ctx, post(body, "dead-letters", what), &out)
		if err == nil && len(out.Results) != len(some) {
			err = errors.New("the worker answered for other dead letters than those that were named")
		}
		for i, of := range some {
			s := deadletter.Settled{DeadLetter: of, Outcome: deadletter.Failed, Err: err}
			if err == nil {
				s = settled(of, out.Results[i])
			}
			all = append(all, s)
		}
		if err != nil {
			break // the rest would fail too, and stays
		}
	}
	return all
}

// Note does nothing: the worker has noted what it did.
func (*Dead) Note(context.Context, deadletter.Outcome, deadletter.Counts, string, string) error {
	return nil
}
