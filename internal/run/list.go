package run

import (
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

// newest returns the ids of runs, newest first, from one on.
func (s *Service) newest(ctx context.Context, before string, from int) ([]string, error) {
	ids, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: indexKey, Start: before, Stop: "-inf", ByScore: true, Rev: true, Offset: int64(from), Count: listPage,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", ofKey(err, indexKey, "sorted set"))
	}
	return ids, nil
}

// List returns the newest runs, newest first, without Outcomes unless they have ended.
func (s *Service) List(ctx context.Context, f Filter) ([]Run, error) {
	n := f.N
	if n == 0 {
		n = defaultList
	}
	before := "+inf"
	if !f.Before.IsZero() {
		before = "(" + strconv.FormatInt(f.Before.UnixMicro(), 10)
	}
	var all []Run
	for from := 0; from < mostListed && len(all) < n; from += listPage {
		ids, err := s.newest(ctx, before, from)
		if err != nil || len(ids) == 0 {
			return all, err
		}
		heads, err := s.loadAll(ctx, ids)
		if err != nil {
			return all, err
		}
		for _, h := range heads {
			if h == nil {
				continue
			}
			r, err := h.view()
			if err != nil {
				return all, err
			}
			if f.matches(r) && len(all) < n {
				all = append(all, r)
			}
		}
	}
	return all, nil
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
	var begins []string
	for from := 0; from < mostListed; from += listPage {
		ids, err := s.newest(ctx, "+inf", from)
		if err != nil {
			return "", err
		}
		if len(ids) == 0 {
			break
		}
		named, err := s.named(ctx, ids, word)
		if named != "" || err != nil {
			return named, err
		}
		for _, id := range ids {
			if len(word) >= shortestID && strings.HasPrefix(id, word) {
				begins = append(begins, id)
			}
		}
	}
	switch len(begins) {
	case 0:
		return "", &NotFoundError{ID: word}
	case 1:
		return begins[0], nil
	}
	return "", fmt.Errorf("%d runs begin with %s: give more of the id", len(begins), word)
}

// named returns the first of some runs that has a name, or "".
func (s *Service) named(ctx context.Context, ids []string, name string) (string, error) {
	heads, err := s.loadAll(ctx, ids)
	if err != nil {
		return "", err
	}
	for _, h := range heads {
		if h == nil {
			continue
		}
		r, err := h.view() // of one that is damaged, nothing is known
		if err != nil {
			return "", err
		}
		if r.Name == name {
			return r.ID, nil
		}
	}
	return "", nil
}
