package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	defaultList = 20
	// listPage is how many runs one round trip reads.
	listPage = 50
	// mostListed bounds how many runs a search reads.
	mostListed = 10_000
	// shortestID is how many characters of an id name a run.
	shortestID = 6
)

// waitEvery is how often Wait reads a run.
const waitEvery = 500 * time.Millisecond

// Wait returns when the run has ended, or needs a person: it is held or paused. Before a
// run is applied it waits too.
func (s *Service) Wait(ctx context.Context, id string) (Run, error) {
	return s.wait(ctx, id, func(st State) bool { return st.Ended() || st == StateHeld || st == StatePaused })
}

// WaitWhile returns when the run is no longer in a state. It returns an error when ctx ends
// before.
func (s *Service) WaitWhile(ctx context.Context, id string, state State) (Run, error) {
	return s.wait(ctx, id, func(st State) bool { return st != state })
}

func (s *Service) wait(ctx context.Context, id string, over func(State) bool) (Run, error) {
	ticker := time.NewTicker(waitEvery)
	defer ticker.Stop()
	for {
		h, err := s.load(ctx, id)
		if err != nil {
			return Run{}, err
		}
		if over(h.state()) {
			return s.Get(ctx, id)
		}
		select {
		case <-ctx.Done():
			return Run{}, fmt.Errorf("wait for run %s: %w", id, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// newest returns the ids of runs, newest first, from one on, at most so many.
func (s *Service) newest(ctx context.Context, from, most int) ([]string, error) {
	return s.ids(ctx, redis.ZRangeArgs{Start: "+inf", Stop: "-inf", Rev: true}, from, most)
}

// ids returns the ids of runs in a range of their creation.
func (s *Service) ids(ctx context.Context, of redis.ZRangeArgs, from, most int) ([]string, error) {
	of.Key, of.ByScore, of.Offset, of.Count = indexKey, true, int64(from), int64(most)
	ids, err := s.rdb.ZRangeArgs(ctx, of).Result()
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", ofKey(err, indexKey, "sorted set"))
	}
	return ids, nil
}

// List returns the newest runs, newest first, without Outcomes unless they have ended.
func (s *Service) List(ctx context.Context, f Filter) ([]Run, error) {
	all, _, err := s.Page(ctx, f, mostListed)
	return all, err
}

// Page is List that reads at most so many runs. next is when the last run that was read was
// created: Filter.Before of the next page, or Filter.After if that was set; zero: there are no
// more.
func (s *Service) Page(ctx context.Context, f Filter, most int) (all []Run, next time.Time, err error) { //nolint:gocognit // one loop over pages
	n := cmp.Or(f.N, defaultList)
	of := redis.ZRangeArgs{Start: "+inf", Stop: "-inf", Rev: true}
	if !f.Before.IsZero() {
		of.Start = "(" + strconv.FormatInt(f.Before.UnixMicro(), 10)
	}
	if !f.After.IsZero() {
		of = redis.ZRangeArgs{Start: "(" + strconv.FormatInt(f.After.UnixMicro(), 10), Stop: "+inf"}
		defer func() { slices.Reverse(all) }()
	}
	for from := 0; from < most && len(all) < n; from += listPage {
		together := min(listPage, most-from)
		ids, err := s.ids(ctx, of, from, together+1)
		if err != nil {
			return all, next, err
		}
		more := len(ids) > together
		heads, err := s.loadEach(ctx, ids[:min(len(ids), together)])
		if err != nil {
			return all, next, err
		}
		for i, h := range heads {
			if h == nil {
				continue
			}
			r := h.view()
			if h.created().UnixMicro() > 0 { // of a damaged record, it may not be known
				next = r.Created
			}
			if !f.matches(r) {
				continue
			}
			if all = append(all, r); len(all) == n {
				if !more && i == len(heads)-1 {
					next = time.Time{}
				}
				return all, next, nil
			}
		}
		if !more {
			return all, time.Time{}, nil
		}
	}
	return all, next, nil
}

func (f Filter) matches(r Run) bool {
	ofTenant := f.Tenant == "" || r.Plan != nil && slices.ContainsFunc(r.Plan.Lanes, func(l Lane) bool { return l.Tenant == f.Tenant })
	return ofTenant && (f.Name == "" || r.Name == f.Name) && (f.States == nil || slices.Contains(f.States, r.State))
}

// Find returns the id of a run by its id, by the beginning of its id (at least six
// characters), or by its name, of which the newest run counts. *NotFoundError if there is
// none.
func (s *Service) Find(ctx context.Context, word string) (string, error) {
	if validID(word) {
		h, err := s.load(ctx, word)
		if err == nil {
			return h.id, nil
		}
		return "", err
	}
	if word == "" { // runs without a name have this one
		return "", &NotFoundError{ID: word}
	}
	named, err := s.List(ctx, Filter{Name: word, N: 1})
	if err != nil {
		return "", err
	}
	if len(named) > 0 {
		return named[0].ID, nil
	}
	ids, err := s.newest(ctx, 0, mostListed)
	if err != nil {
		return "", err
	}
	begins := slices.DeleteFunc(ids, func(id string) bool { return len(word) < shortestID || !strings.HasPrefix(id, word) })
	switch len(begins) {
	case 0:
		return "", &NotFoundError{ID: word}
	case 1:
		return begins[0], nil
	}
	return "", &AmbiguousError{Word: word, Runs: len(begins)}
}

// AmbiguousError reports a word that several ids begin with.
type AmbiguousError struct {
	Word string
	Runs int
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d runs begin with %s: give more of the id", e.Runs, e.Word)
}
