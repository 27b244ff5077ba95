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
	leader, listed, err := s.list(ctx, names)
	if err != nil {
		return Survey{}, err
	}
	survey := Survey{Now: now, Leader: leader}
	for i, name := range names {
		e, l := entries[name], listed[i]
		info := Info{
			Name: name, Cron: e.Cron, Zone: e.Zone, Offset: e.offset, Overlap: e.Overlap, MisfireWindow: e.MisfireWindow, Does: e.Does,
		}
		switch info.Damaged = cmp.Or(seen[name].damaged, l.damaged); {
		case info.Damaged != "":
		case seen[name].paused:
			info.Pause, info.Last = &l.pause, l.last
		default:
			info.Next, info.Last = e.next(now), l.last
		}
		survey.Entries = append(survey.Entries, info)
	}
	return survey, nil
}

// listed is what list.lua returns of an entry.
type listed struct {
	pause   Pause  // its zero value: not paused
	last    *Past  // nil: no tick yet
	damaged string // a key that has another type; empty: none
}

// list reads pauses and newest ticks. One round trip.
func (s *Store) list(ctx context.Context, names []string) (leader bool, all []listed, err error) {
	keys := []string{leaderKey}
	for _, name := range names {
		keys = append(keys, stateKey(name), historyKey(name), ticksKey(name))
	}
	args := make([]any, len(fields))
	for i, f := range fields {
		args[i] = f
	}
	answer, err := listScript.Run(ctx, s.rdb, keys, args...).Slice()
	if err != nil {
		return false, nil, fmt.Errorf("read the state of the schedules: %w", err)
	}
	for _, one := range answer[1:] {
		v, _ := one.([]any)
		var l listed
		if v[0] == "damaged" {
			l.damaged, _ = v[1].(string)
			all = append(all, l)
			continue
		}
		l.pause.Since = time.Unix(number(v[0]), 0).UTC()
		l.pause.By, _ = v[1].(string)
		l.pause.Reason, _ = v[2].(string)
		if id, _ := v[3].(string); id != "" {
			last := parsePast(id, v[4:])
			l.last = &last
		}
		all = append(all, l)
	}
	return answer[0] == "1", all, nil
}
