package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

// Event is a change that was applied to a target, or the answer of a person.
type Event struct {
	At        time.Time         `json:"at,omitzero"` // Redis' clock, whole seconds
	Revision  int64             `json:"revision,omitzero"`
	TaskID    string            `json:"task,omitzero"`
	RequestID string            `json:"request_id,omitzero"` // of the platform
	Set       map[string]string `json:"set,omitempty"`       // by field; "" where it has no value of ours
	By        string            `json:"by,omitzero"`         // the person who confirmed or rejected
	Did       string            `json:"did,omitzero"`        // confirm or reject of a person, DidResend, or DidRefresh
	Late      bool              `json:"late,omitzero"`       // an earlier send may be carried out after it
}

// The values of Did of events of the workers' own.
const (
	DidResend  = "resend"  // sent the applied values once more, as an earlier send may have overwritten them
	DidRefresh = "refresh" // sent the applied values once more to confirm them
)

// effectEntry is an event as it is stored, without its time, which Redis adds.
func effectEntry(e Event) string {
	text, err := json.Marshal(e, json.Deterministic(true))
	if err != nil { // invalid UTF-8, which no payload holds
		return "{}"
	}
	return string(text)
}

func readEffect(entry string) Event {
	seconds, text, _ := strings.Cut(entry, " ")
	var e Event
	_ = json.Unmarshal([]byte(text), &e) // a newer version may have written it: its time is known
	if at, err := strconv.ParseInt(seconds, 10, 64); err == nil {
		e.At = time.Unix(at, 0)
	}
	return e
}

// State is what is known of one field of a target.
type State struct {
	Latest   int64     // revision of the latest change; 0: none
	TaskID   string    // of the task that carries it
	Open     bool      // that task has not ended: the change still waits; set by Survey alone
	Applied  int64     // revision that was applied last; 0: none
	Value    string    // that was applied
	Wanted   string    // the wanted value, if the platform took a substitute
	Unknown  int64     // revision of a send whose outcome is unknown; 0: none
	Answered bool      // that send had an unclear answer: it cannot be carried out any more
	Late     time.Time // when a change was settled that an earlier send may still overwrite; zero: none
	Intent   *Intent   // of a field of mode Once whose outcome is unknown
	Lock     *LockedError
	Attempts int    // candidates of an ID change that were refused
	Evidence string // how the value is known, as it is stored; see [Record.Evidence]
}

// Record is all that is known of a target.
type Record struct {
	Target   Target
	Revision int64 // the last that was handed out; 0: nothing is known of the target
	Fields   map[string]State
	InFlight bool      // an attempt has the lease
	Until    time.Time // when the lease expires, unless it is renewed
	Settled  time.Time // when a task was last applied, or a value confirmed, in whole seconds; zero: never
	Tried    time.Time // when a worker last began to confirm a value; zero: never
	Sources  map[string]int64
	Edits    []Position // open membership edits, in their order
	Effects  []Event    // the last ten, newest first
	Damaged  []Damage   // keys and entries that cannot be read; nothing is done at the target until they are repaired
}

// Position is the position of an open membership edit.
type Position struct {
	Revision int64
	TaskID   string
}

// Look reads the record of a target. One round trip.
func (l *Ledger) Look(ctx context.Context, target Target) (Record, error) {
	var (
		hash    *redis.MapStringStringCmd
		effects *redis.StringSliceCmd
		edits   *redis.ZSliceCmd
		clock   *redis.TimeCmd
	)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		hash = p.HGetAll(ctx, target.redisKey())
		effects = p.LRange(ctx, target.effects(), 0, -1)
		edits = p.ZRangeWithScores(ctx, target.edits(), 0, -1)
		clock = p.Time(ctx)
		return nil
	})
	if err != nil {
		err = l.explain(ctx, target, err)
		if _, damaged := errors.AsType[*DamagedError](err); !damaged {
			return Record{}, fmt.Errorf("ledger: read the record of a target: %w", err)
		}
	}
	r := readRecord(target, hash.Val(), clock.Val())
	for _, entry := range effects.Val() {
		r.Effects = append(r.Effects, readEffect(entry))
	}
	r.Edits = readPositions(edits.Val())
	if err != nil {
		r.Damaged, err = l.WrongTypes(ctx, target.keyTypes())
	}
	r.Damaged = append(r.Damaged, damagedEntries(target.redisKey(), hash.Val(), clock.Val())...)
	return r, err
}

func readPositions(edits []redis.Z) []Position {
	var positions []Position
	for _, z := range edits {
		id, _ := z.Member.(string)
		positions = append(positions, Position{Revision: int64(z.Score), TaskID: id})
	}
	return positions
}

func readRecord(target Target, hash map[string]string, now time.Time) Record {
	r := Record{Target: target, Fields: map[string]State{}, Sources: map[string]int64{}}
	for name, value := range hash {
		n, _ := strconv.ParseInt(value, 10, 64)
		kind, field, ofField := strings.Cut(name, ":")
		if !ofField {
			switch kind {
			case entryLastRevision:
				r.Revision = n
			case entrySettledAt:
				r.Settled = time.Unix(n, 0)
			case entryTried:
				r.Tried = time.Unix(n, 0)
			case entryLeaseUntil:
				r.Until = time.UnixMilli(n)
				r.InFlight = r.Until.After(now)
			}
			continue
		}
		if kind += ":"; kind == entrySource {
			r.Sources[field] = n
			continue
		}
		if s := r.Fields[field]; s.read(kind, value, n, now) {
			r.Fields[field] = s
		}
	}
	return r
}

// read reads one entry of a field; false if the entry is not that of a field.
func (s *State) read(kind, value string, n int64, now time.Time) bool {
	switch kind {
	case entryLatest:
		s.Latest = n
	case entryLatestTask:
		s.TaskID = value
	case entryApplied:
		s.Applied = n
	case entryAppliedValue:
		s.Value = value
	case entryWantedValue:
		s.Wanted = value
	case entryUnknown:
		rev, how, _ := strings.Cut(value, " ")
		s.Unknown, _ = strconv.ParseInt(rev, 10, 64)
		s.Answered = how == "answered"
	case entryLate:
		s.Late = time.Unix(n, 0)
	case entryIntent:
		if in, err := readIntent(strconv.FormatInt(now.UnixMilli(), 10) + "|" + value); err == nil {
			s.Intent = &in
		}
	case entryLock:
		if lock, ok := errors.AsType[*LockedError](readLock(value)); ok {
			s.Lock = lock
		}
	case entryEvidence:
		s.Evidence = value
	case entryRefused:
		_, step, _ := strings.Cut(value, " ")
		s.Attempts, _ = strconv.Atoi(step)
	default:
		return false
	}
	return true
}

// UnknownTargets lists the targets of an organisation's API that a person must confirm or
// reject, the oldest first. One round trip.
func (l *Ledger) UnknownTargets(ctx context.Context, organisation, api string) ([]Target, error) {
	keys, err := l.rdb.ZRange(ctx, tagged(organisation, api, "doubts"), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: list the targets with an unknown outcome: %w", err)
	}
	targets := make([]Target, len(keys))
	for i, key := range keys {
		targets[i] = Target{Organisation: organisation, API: api, Key: key}
	}
	return targets, nil
}

// Names returns the names of the fields of a record, sorted.
func (r Record) Names() []string {
	return slices.Sorted(maps.Keys(r.Fields))
}
