package schedule

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Info is an entry as the leader runs it, with its state.
type Info struct {
	Name, Cron, Zone string
	Offset           time.Duration // by which ticks are later than Cron
	Overlap          Overlap
	MisfireWindow    time.Duration
	Does             string    // in a few words
	Next             time.Time // zero: paused, or none within five years
	Pause            *Pause    // nil: not paused
	Last             *Past     // nil: no tick yet
	// Damaged is a key that another program wrote: no tick of the entry begins. Next, Pause
	// and Last are not known. Empty: none.
	Damaged string
}

// Survey is the state of all entries.
type Survey struct {
	Now     time.Time // by Redis' clock
	Leader  bool      // a worker leads: ticks are enqueued
	Entries []Info    // by name
}

// List returns the state of all entries. Cost: three round trips for any number.
func (s *Store) List(ctx context.Context) (Survey, error) {
	entries, err := s.entries(ctx)
	if err != nil {
		return Survey{}, err
	}
	names := slices.Sorted(maps.Keys(entries))
	now, seen, err := s.look(ctx, names)
	if err != nil {
		return Survey{}, err
	}
	keys := []string{leaderKey}
	for _, name := range names {
		keys = append(keys, stateKey(name), historyKey(name), ticksKey(name))
	}
	answer, err := listScript.Run(ctx, s.rdb, keys, fields).Slice()
	if err != nil {
		return Survey{}, fmt.Errorf("read the state of the schedules: %w", err)
	}
	survey := Survey{Now: now, Leader: answer[0] == "1"}
	for i, name := range names {
		listed, _ := answer[1+i].([]any)
		survey.Entries = append(survey.Entries, entries[name].info(seen[name], listed, now))
	}
	return survey, nil
}

// info returns the state of the entry, of what look.lua and list.lua returned of it.
func (p *planned) info(seen look, listed []any, now time.Time) Info {
	info := Info{
		Name: p.Name, Cron: p.Cron, Zone: p.Zone, Offset: p.offset, Overlap: p.Overlap, MisfireWindow: p.MisfireWindow, Does: p.Does,
		Damaged: seen.damaged,
	}
	text := func(i int) string { t, _ := listed[i].(string); return t }
	if text(0) == "damaged" {
		info.Damaged = cmp.Or(info.Damaged, text(1))
	}
	if info.Damaged != "" {
		return info
	}
	if seen.paused {
		info.Pause = &Pause{Since: time.Unix(number(listed[0]), 0).UTC(), By: text(1), Reason: text(2)}
	} else {
		info.Next = p.next(now)
	}
	if id := text(3); id != "" {
		last := parsePast(id, listed[4:])
		info.Last = &last
	}
	return info
}
