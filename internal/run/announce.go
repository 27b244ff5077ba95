package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// announceKey holds the ids of runs that came into a state that is announced, by the
	// time of that state, Unix ms.
	announceKey = "rollcall:runs:announce"
	// announceFor is how old a state may be that is announced.
	announceFor = 24 * time.Hour
	// writeFor is longer than a writer takes from listing a run to writing its state.
	writeFor = time.Minute
)

// announced reports whether others want to know that a run came into a state.
func announced(s State) bool { return s == StateHeld || s == StatePaused || s.Ended() }

// Announcement is a state that a run came into. The run may have left it since.
type Announcement struct {
	Run   Run
	State State
	At    time.Time
}

// noteState notes that a run may come into a state that is announced, before it does: the
// writer may be killed at any time.
func (s *Service) noteState(ctx context.Context, id string, u update) error {
	if u.announced.IsZero() {
		return nil
	}
	err := s.rdb.ZAdd(ctx, announceKey, redis.Z{Score: float64(u.announced.UnixMilli()), Member: id}).Err()
	if err != nil {
		return fmt.Errorf("write run %s: %w", id, err)
	}
	return nil
}

// Announce calls sink for each state that runs came into and that was not announced, and
// forgets those for which it returns nil. After a crash, or with several workers, sink may
// be called again with the same one. Cost: one round trip if there is none.
func (s *Service) Announce(ctx context.Context, sink func(context.Context, Announcement) error) error {
	listed, err := s.rdb.ZRangeWithScores(ctx, announceKey, 0, -1).Result()
	if err != nil {
		return fmt.Errorf("read the runs with new states: %w", err)
	}
	var faults []error
	now := s.now()
	for page := range slices.Chunk(listed, listPage) {
		ids := make([]string, len(page))
		for i, entry := range page {
			ids[i], _ = entry.Member.(string)
		}
		heads, err := s.loadAll(ctx, ids)
		if err != nil {
			return err
		}
		for _, h := range heads {
			now = h.now // by Redis' clock, as the entries
			faults = append(faults, s.announce(ctx, h, sink))
		}
	}
	if err := errors.Join(faults...); err != nil || len(listed) == 0 {
		return err
	}
	// Younger entries may be of writers that have not written yet.
	last := min(int64(listed[len(listed)-1].Score), now.Add(-writeFor).UnixMilli())
	return s.rdb.ZRemRangeByScore(ctx, announceKey, "-inf", strconv.FormatInt(last, 10)).Err() //nolint:wrapcheck // repeated
}

// announce announces the states of one run.
func (s *Service) announce(ctx context.Context, h *head, sink func(context.Context, Announcement) error) error {
	for _, field := range slices.Sorted(maps.Keys(h.fields)) {
		state, is := strings.CutPrefix(field, fieldAnnounce)
		if !is {
			continue
		}
		if at := h.time(field); h.now.Sub(at) < announceFor {
			if err := sink(ctx, Announcement{Run: h.view(), State: State(state), At: at}); err != nil {
				return fmt.Errorf("announce that run %s is %s: %w", h.id, state, err)
			}
		}
		err := s.write(ctx, h.id, update{when: map[string]string{field: h.fields[field]}, set: map[string]string{field: ""}})
		if err != nil && !errors.Is(err, errChanged) { // it is there once more
			return err
		}
	}
	return nil
}

// forgetStates forgets states that no worker announced in time: there may be no webhook.
func (s *Service) forgetStates(ctx context.Context) error {
	last := s.now().Add(-2 * announceFor).UnixMilli()
	return s.rdb.ZRemRangeByScore(ctx, announceKey, "-inf", strconv.FormatInt(last, 10)).Err() //nolint:wrapcheck // logged
}
