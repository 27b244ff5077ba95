package night

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

const (
	// openKey holds the names of the schedules that had a night.
	openKey = "rollcall:nights:open"
	// kept is how long the records of a schedule are kept after its last night.
	kept = 400 * 24 * time.Hour
	// nightsKept is how many reports and versions of contents are kept.
	nightsKept = 30
)

// key is one of the keys of a schedule. The tag in braces keeps them on one node of a
// Cluster.
func key(schedule, name string) string { return "rollcall:{night:" + schedule + "}:" + name }

// The keys of a schedule.
const (
	keyOpen    = "open"    // JSON of the night that has not ended
	keyBase    = "base"    // JSON of what the last accepted night was like
	keyReports = "reports" // hash: tick → JSON of its report
	keySeen    = "seen"    // compressed: the members of the last accepted complete reading
	keyAbsent  = "absent"  // hash: member → since when they are missing, or that they were removed
	keyCarried = "carried" // hash: target → tick at which the month could first not pay for its change
	keyRefused = "refused" // hash: target → the value that the platform refused, and when
)

// openNight is a night that has not ended.
type openNight struct {
	Run string `json:"run,omitzero"`
	// Fingerprint is equal for nights that would make the same run.
	Fingerprint string `json:"fingerprint"`
	// Base is what the next night is compared with once this one is accepted: its run was
	// applied.
	Base      base `json:"base"`
	Complete  bool `json:"complete"`
	Committed bool `json:"committed,omitzero"` // Base is in use
	// Edits are the rows of the run that remove or restore a member.
	Edits  map[int]edit `json:"edits,omitempty"`
	Report Report       `json:"report"`

	stored string // as it is in Redis; empty: it is not
}

// edit is what a row does to a member.
type edit struct {
	Member string `json:"member"`
	Add    bool   `json:"add,omitzero"`
}

// base is what an accepted night was like.
type base struct {
	At       time.Time `json:"at"` // tick; zero: no night was accepted
	Rule     string    `json:"rule"`
	Version  string    `json:"version,omitzero"`
	Modified time.Time `json:"modified,omitzero"`
	// Nights counts the complete nights that were accepted.
	Nights int `json:"nights"`
	Rows   int `json:"rows"`
	// Chats are the members of each chat, by tenant and chat.
	Chats map[string]int `json:"chats,omitempty"`
	// Versions are earlier contents, the newest last.
	Versions []content `json:"versions,omitempty"`
}

// content is a version that was read.
type content struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"` // first tick
}

// base reads what the last accepted night was like; zero before the first.
func (s *Service) base(ctx context.Context, schedule string) (base, error) {
	var b base
	text, err := s.rdb.Get(ctx, key(schedule, keyBase)).Bytes()
	if errors.Is(err, redis.Nil) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read %s of schedule %s: %w", keyBase, schedule, err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, unreadable(schedule, keyBase, err)
	}
	return b, nil
}

// accept makes a night the one that the next is compared with.
func (s *Service) accept(ctx context.Context, schedule string, b base) error {
	text, err := json.Marshal(b, json.Deterministic(true))
	if err == nil {
		err = s.rdb.Set(ctx, key(schedule, keyBase), text, kept).Err()
	}
	if err != nil {
		return fmt.Errorf("write %s of schedule %s: %w", keyBase, schedule, err)
	}
	return nil
}

func (s *Service) open(ctx context.Context, schedule string) (*openNight, error) {
	text, err := s.rdb.Get(ctx, key(schedule, keyOpen)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("read the last night of schedule %s: %w", schedule, err)
	}
	o := openNight{stored: text}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return nil, unreadable(schedule, keyOpen, err)
	}
	return &o, nil
}

//go:embed swap.lua
var swapLua string

var swap = redis.NewScript(swapLua)

// errChanged reports that another worker changed the open night of a schedule since it was read.
var errChanged = errors.New("another worker has changed the night of the schedule; safe to retry")

// saveOpen stores a night that has not ended, in place of the one that was read. Its
// schedule is listed first, and stays listed.
func (s *Service) saveOpen(ctx context.Context, schedule string, o *openNight) error {
	if err := s.rdb.SAdd(ctx, openKey, schedule).Err(); err != nil {
		return fmt.Errorf("list the night of schedule %s: %w", schedule, err)
	}
	text, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write the night of schedule %s: %w", schedule, err)
	}
	return s.swapOpen(ctx, schedule, o, string(text))
}

// dropOpen removes a night that has ended.
func (s *Service) dropOpen(ctx context.Context, schedule string, o *openNight) error {
	return s.swapOpen(ctx, schedule, o, "")
}

func (s *Service) swapOpen(ctx context.Context, schedule string, o *openNight, text string) error {
	done, err := swap.Run(ctx, s.rdb, []string{key(schedule, keyOpen)}, o.stored, text, kept.Milliseconds()).Int()
	switch {
	case err != nil:
		return fmt.Errorf("write the night of schedule %s: %w", schedule, err)
	case done == 0:
		return fmt.Errorf("schedule %s: %w", schedule, errChanged)
	}
	o.stored = text
	return nil
}

// History returns the reports of the last 30 nights of a schedule, the newest first.
func (s *Service) History(ctx context.Context, schedule string) ([]Report, error) {
	return History(ctx, s.rdb, schedule)
}

// History returns the reports of the last 30 nights of a schedule in a Redis, the newest
// first. Cost: one round trip.
func History(ctx context.Context, rdb redis.Cmdable, schedule string) ([]Report, error) {
	stored, err := rdb.HGetAll(ctx, key(schedule, keyReports)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the reports of schedule %s: %w", schedule, err)
	}
	var all []Report
	for _, text := range stored {
		var r Report
		if json.Unmarshal([]byte(text), &r) == nil { // else of a newer version
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Report) int { return b.Tick.Compare(a.Tick) })
	return all, nil
}

func field(tick time.Time) string { return tick.UTC().Format(time.RFC3339) }

// saveReport stores a report, and removes those of nights that are too old.
func (s *Service) saveReport(ctx context.Context, r Report, history []Report) error {
	text, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write the report of schedule %s: %w", r.Schedule, err)
	}
	k := key(r.Schedule, keyReports)
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, k, field(r.Tick), text)
		p.PExpire(ctx, k, kept)
		for _, old := range history[min(len(history), nightsKept-1):] {
			if !old.Tick.Equal(r.Tick) {
				p.HDel(ctx, k, field(old.Tick))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the report of schedule %s: %w", r.Schedule, err)
	}
	return nil
}
