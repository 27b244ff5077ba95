package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
)

// State is the state of a tick. Its values are stored.
type State string

// The states of a tick.
const (
	Due      State = "due"      // recorded, and not yet in its queue
	Waiting  State = "waiting"  // in its queue
	Running  State = "running"  // a worker executes it
	Retrying State = "retrying" // an attempt failed; another follows
	Done     State = "done"     // executed
	Failed   State = "failed"   // a dead letter after its last attempt
	Skipped  State = "skipped"  // not executed: another tick had not ended, or the entry was paused
	Missed   State = "missed"   // not executed: no worker began it within its window
	Deleted  State = "deleted"  // not executed: a person deleted it from its queue
)

// Ended reports whether nothing happens to the tick any more.
func (s State) Ended() bool {
	return slices.Contains([]State{Done, Failed, Skipped, Missed, Deleted}, s)
}

// Past is a tick as it is recorded. Its times are those of Redis' clock; zero: not yet.
type Past struct {
	ID       string
	At       time.Time // scheduled
	State    State
	Added    time.Time // when it was recorded
	Start    time.Time // of the first attempt
	End      time.Time
	Attempts int
	Worker   string // of the last attempt
	Result   string // of the last attempt, or its error
	Missed   int    // ticks before it that were missed
	By       string // person who started it; empty: its time
	Reason   string // of that person, or why it was not executed
}

// Pause is why an entry has no ticks.
type Pause struct {
	Since      time.Time
	By, Reason string
}

// NotFoundError reports a name that no entry has.
type NotFoundError struct {
	Name  string
	Known []string // names of all entries
}

// Error names the entry.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no worker runs a schedule %.80q", e.Name)
}

// BusyError reports that an entry does not start a tick while another has not ended.
type BusyError struct{ Schedule, Tick string }

// Error names the tick that has not ended.
func (e *BusyError) Error() string {
	return fmt.Sprintf("schedule %s skips ticks that overlap, and tick %s has not ended", e.Schedule, e.Tick)
}

// DamagedError reports a key of the schedules that another program wrote.
type DamagedError struct{ Key string }

// Error names the key, and what to do.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the key %s has another type, because another program wrote it: see rollcall repair", e.Key)
}

// ofKey returns a [*DamagedError] for an error about the type of a key.
func ofKey(key string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return &DamagedError{key}
	}
	return err
}

// Keys are the keys of an entry with their types, or those of all entries for "".
func Keys(name string) map[string]string {
	if name == "" {
		return map[string]string{entriesKey: "hash", leaderKey: "string"}
	}
	return map[string]string{
		stateKey(name): "hash", ticksKey(name): "hash", historyKey(name): "zset", openKey(name): "zset", runningKey(name): "string",
	}
}

// Names returns the names of the entries that a worker has published.
func (s *Store) Names(ctx context.Context) ([]string, error) {
	all, err := s.entries(ctx)
	return slices.Sorted(maps.Keys(all)), err
}

// published is an entry as the leader publishes it. Its form is stored.
type published struct {
	Cron    string  `json:"cron"`
	Zone    string  `json:"zone"`
	Jitter  int64   `json:"jitter,omitzero"` // s
	Overlap Overlap `json:"overlap"`
	Window  int64   `json:"window"` // s
	Does    string  `json:"does"`
}

// publish replaces the list of entries. An entry that is no longer there forgets which
// ticks are decided: if it returns, it counts as new. Two round trips.
func (s *Store) publish(ctx context.Context, entries map[string]*planned) error {
	before, err := s.rdb.HGetAll(ctx, entriesKey).Result()
	if err != nil {
		return fmt.Errorf("list the schedules: %w", err)
	}
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for name := range before {
			if entries[name] == nil {
				p.HDel(ctx, entriesKey, name)
				p.HDel(ctx, stateKey(name), "until", "times")
			}
		}
		for name, e := range entries {
			text, err := json.Marshal(published{
				Cron: e.Cron, Zone: e.zone.String(), Jitter: int64(e.Jitter / time.Second), Overlap: e.Overlap,
				Window: int64(e.MisfireWindow / time.Second), Does: e.does(),
			})
			if err != nil {
				return err
			}
			p.HSet(ctx, entriesKey, name, text)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the schedules: %w", err)
	}
	return nil
}

// entries reads the published entries. An entry that cannot be read is left out: a newer
// worker published it.
func (s *Store) entries(ctx context.Context) (map[string]*planned, error) {
	stored, err := s.rdb.HGetAll(ctx, entriesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("list the schedules: %w", ofKey(entriesKey, err))
	}
	all := make(map[string]*planned, len(stored))
	for name, text := range stored {
		var p published
		if json.Unmarshal([]byte(text), &p) != nil {
			continue
		}
		e := &planned{Entry: Entry{
			Name: name, Cron: p.Cron, Zone: p.Zone, Jitter: time.Duration(p.Jitter) * time.Second, Overlap: p.Overlap,
			MisfireWindow: time.Duration(p.Window) * time.Second, Does: p.Does,
		}}
		if e.parse() == nil {
			e.offset = offset(name, e.Jitter)
			all[name] = e
		}
	}
	return all, nil
}

// entry reads the entries, and returns that with a name or a [*NotFoundError].
func (s *Store) entry(ctx context.Context, name string) (*planned, error) {
	all, err := s.entries(ctx)
	if err != nil {
		return nil, err
	}
	if all[name] == nil {
		return nil, &NotFoundError{Name: name, Known: slices.Sorted(maps.Keys(all))}
	}
	return all[name], nil
}

// History returns the last n ticks of an entry, the newest last; at most 100 are kept.
// The entry need not exist any more: a [*NotFoundError] means that there is neither an
// entry nor a tick. Cost: two round trips.
func (s *Store) History(ctx context.Context, name string, n int) ([]Past, error) {
	ids, err := s.rdb.ZRange(ctx, historyKey(name), int64(-n), -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read the history of schedule %s: %w", name, ofKey(historyKey(name), err))
	}
	if len(ids) == 0 {
		_, err := s.entry(ctx, name)
		return nil, err
	}
	var keys []string
	for _, id := range ids {
		for _, f := range fields {
			keys = append(keys, id+":"+f)
		}
	}
	values, err := s.rdb.HMGet(ctx, ticksKey(name), keys...).Result()
	if err != nil {
		return nil, ofKey(ticksKey(name), fmt.Errorf("read ticks of schedules: %w", err))
	}
	var all []Past
	for i, id := range ids {
		all = append(all, parsePast(id, values[i*len(fields):(i+1)*len(fields)]))
	}
	return all, nil
}

// fields are those of a tick in the hash of its entry.
var fields = []string{"state", "at", "added", "start", "end", "attempts", "worker", "result", "missed", "by", "reason"}

// parsePast reads the values of fields.
func parsePast(id string, values []any) Past {
	text := make([]string, len(values))
	for i, v := range values {
		text[i], _ = v.(string)
	}
	count := func(s string) int { n, _ := strconv.Atoi(s); return n }
	return Past{
		ID: id, State: State(text[0]), At: unix(text[1]), Added: milli(text[2]), Start: milli(text[3]), End: milli(text[4]),
		Attempts: count(text[5]), Worker: text[6], Result: text[7], Missed: count(text[8]), By: text[9], Reason: text[10],
	}
}

func milli(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	return time.UnixMilli(number(text)).UTC()
}

// RunNow starts one tick of an entry now, also if it is paused, and records who started
// it and why. If another tick has not ended, it waits for it, or for an entry with [Skip]
// the error is a [*BusyError]. Two calls within a second start one tick at most.
func (s *Store) RunNow(ctx context.Context, name, by, reason string) (Tick, error) {
	entry, err := s.entry(ctx, name)
	if err != nil {
		return Tick{}, err
	}
	now, seen, err := s.look(ctx, []string{name})
	if err != nil {
		return Tick{}, err
	}
	if err := s.settle(ctx, name, seen[name].open); err != nil {
		return Tick{}, err
	}
	t := Tick{Schedule: name, At: now.Truncate(time.Second), Manual: true}
	outcome, other, err := s.add(ctx, addition{
		name: name, until: now, tick: &t, state: Due, alone: entry.Overlap == Skip, by: by, reason: reason,
	})
	if err != nil {
		return t, err
	}
	if outcome == "busy" {
		return t, &BusyError{Schedule: name, Tick: other}
	}
	// If it cannot be enqueued here, the worker that leads does it.
	_, err = s.enqueue(ctx, t)
	return t, errors.Join(err, s.write(ctx, "schedule.run", name, by, reason))
}

// Pause stops the ticks of an entry until Resume, across restarts, and records who did it
// and why. A running tick ends. It reports whether the entry was paused before; then by
// and reason are replaced.
func (s *Store) Pause(ctx context.Context, name, by, reason string) (before bool, err error) {
	return s.steer(ctx, "pause", "schedule.paused", name, by, reason)
}

// Resume ends a pause. Ticks of the pause are not executed. It reports whether the entry
// was paused.
func (s *Store) Resume(ctx context.Context, name, by, reason string) (before bool, err error) {
	return s.steer(ctx, "resume", "schedule.resumed", name, by, reason)
}

func (s *Store) steer(ctx context.Context, how, event, name, by, reason string) (bool, error) {
	if _, err := s.entry(ctx, name); err != nil {
		return false, err
	}
	was, err := pauseScript.Run(ctx, s.rdb, []string{stateKey(name)}, how, by, reason).Int()
	if err != nil {
		return false, fmt.Errorf("%s schedule %s: %w", how, name, err)
	}
	if how == "resume" && was == 0 {
		return false, nil
	}
	return was == 1, s.write(ctx, event, name, by, reason)
}

// write adds an event for the audit log.
func (s *Store) write(ctx context.Context, event, name, by, reason string) error {
	return audit.Write(ctx, s.rdb, audit.Event{Event: event, Level: "schedule", Name: name, Class: "operator", Reason: reason, By: by})
}
