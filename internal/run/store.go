package run

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

const (
	// indexKey holds the ids of all runs by the time when they were created, Unix µs.
	indexKey = "rollcall:runs"
	// appliedKey holds the ids of the runs that were applied and may not have ended.
	appliedKey = "rollcall:runs:applied"
)

// key is one of the keys of a run. The tag in braces keeps them on one node of a Cluster.
func key(id, name string) string { return "rollcall:{run:" + id + "}:" + name }

func headKey(id string) string                { return key(id, "run") }
func rowsKey(id string, b int) string         { return key(id, "rows:"+strconv.Itoa(b)) }
func planKey(id string, b int) string         { return key(id, "plan:"+strconv.Itoa(b)) }
func excludedKey(id string) string            { return key(id, "excluded") }
func blocksOf(rows int) int                   { return (rows + blockRows - 1) / blockRows }
func laneName(l Lane) string                  { return l.Tenant + "." + string(l.Kind) }
func apiName(organisation, api string) string { return organisation + "/" + api }

// The fields of the hash of a run.
const (
	fieldDraft     = "draft"     // JSON of what it was made from
	fieldSettings  = "settings"  // JSON
	fieldState     = "state"     // a State
	fieldReason    = "reason"    // of the state
	fieldBy        = "by"        // who brought it there
	fieldChanged   = "changed"   // when, Unix µs
	fieldApplied   = "applied"   // when it was applied, Unix µs
	fieldEnded     = "ended"     // when it ended, Unix µs
	fieldRows      = "rows"      // rows that are in
	fieldSealed    = "sealed"    // 1: no more rows are added
	fieldPlan      = "plan"      // JSON of a Plan
	fieldDigest    = "digest"    // of the plan
	fieldLeftOutOf = "leftoutof" // digest of the plan of which rows were left out since
	fieldPlanner   = "planner"   // token of the pass that plans the run
	fieldNewest    = "newest"    // JSON: the highest revision of its targets as of the plan, by organisation/API
	fieldRevisions = "revisions" // JSON: the revision of its rows, by organisation/API
	fieldFeeder    = "feeder"    // token of the worker that feeds the run
	fieldPrepared  = "prepared"  // blocks that were compared again after the run was applied
	fieldChatsFed  = "chatsfed"  // 1: the rows of a canary of chats were fed
	fieldPassed    = "passed"    // 1: the canary has ended well
	fieldJudged    = "judged"    // JSON: what had ended and failed when somebody resumed the run
	fieldWake      = "wake"      // 1: the run was resumed, and its rows in queues may wait long
	fieldFed       = "fed:"      // then a lane: number of the last row that was fed
	fieldFedRows   = "fedrows:"  // then a lane: how many rows were fed
	fieldProgress  = "progress"  // in words
	fieldOutcomes  = "outcomes"  // JSON: rows by outcome, once the run has ended
	fieldAnnounce  = "announce:" // then a state: when the run came into it, Unix µs; it was not announced
	fieldHistory   = "history"   // JSON: the states before this one
	fieldRenewed   = "renewed"   // when the blocks were last kept for longer, Unix µs
)

//go:embed write.lua
var writeLua string

var write = redis.NewScript(writeLua)

// head is the hash of a run as it was read.
type head struct {
	id     string
	fields map[string]string // nil if the key has another type
	now    time.Time         // by Redis' clock
	// damage is why the run cannot be used until it is repaired.
	damage []ledger.Damage
}

// load reads the hash of a run. One round trip.
func (s *Service) load(ctx context.Context, id string) (*head, error) {
	h, err := s.loadDamaged(ctx, id)
	if err != nil {
		return nil, err
	}
	return h, h.damagedError()
}

// loadDamaged is load for a run that may be damaged.
func (s *Service) loadDamaged(ctx context.Context, id string) (*head, error) {
	if !validID(id) {
		return nil, &NotFoundError{ID: id}
	}
	heads, err := s.loadAll(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if len(heads) == 0 {
		return nil, &NotFoundError{ID: id}
	}
	return heads[0], nil
}

// loadAll reads the hashes of those of some runs that exist. One round trip.
func (s *Service) loadAll(ctx context.Context, ids []string) ([]*head, error) {
	heads, err := s.loadEach(ctx, ids)
	return slices.DeleteFunc(heads, func(h *head) bool { return h == nil }), err
}

// loadEach reads the hashes of runs, nil for one that does not exist. One that is damaged
// costs the others nothing. One round trip.
func (s *Service) loadEach(ctx context.Context, ids []string) ([]*head, error) {
	read := make([]*redis.MapStringStringCmd, len(ids))
	var clock *redis.TimeCmd
	var keep *redis.StringCmd
	_, _ = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			read[i] = p.HGetAll(ctx, headKey(id))
		}
		keep, clock = p.Get(ctx, keepKey), p.Time(ctx)
		return nil
	}) // each command has its own error
	if err := clock.Err(); err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	s.keep.learn(keep)
	heads := make([]*head, len(ids))
	for i, cmd := range read {
		fields, err := cmd.Result()
		switch {
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			heads[i] = &head{id: ids[i], now: clock.Val()}
			if heads[i].damage, err = s.ledger.WrongTypes(ctx, []ledger.KeyType{{Key: headKey(ids[i]), Type: "hash"}}); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("read run %s: %w", ids[i], err)
		case len(fields) > 0:
			heads[i] = &head{id: ids[i], fields: fields, now: clock.Val()}
			heads[i].damage = heads[i].unfit(farthest)
		}
	}
	return heads, nil
}

func (h *head) state() State {
	if len(h.damage) > 0 {
		return StateDamaged
	}
	return State(h.fields[fieldState])
}
func (h *head) rows() int { return h.number(fieldRows) }
func (h *head) number(f string) int {
	n, _ := strconv.Atoi(h.fields[f])
	return n
}

func (h *head) time(f string) time.Time {
	us, err := strconv.ParseInt(h.fields[f], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// read reads a field of JSON into v, and reports whether it did: a missing field leaves v as it
// is. load returns no run with a field that cannot be read.
func (h *head) read(field string, v any) bool {
	return h.fields[field] != "" && json.Unmarshal([]byte(h.fields[field]), v) == nil
}

func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

// text returns a value as the JSON of a field. It panics for one of our own types that
// has none.
func text(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(fmt.Sprintf("run: %T has no JSON: %v", v, err))
	}
	return string(b)
}

// update is one atomic change of a run.
type update struct {
	// when are the fields that must still have these values; "" is a missing field.
	when map[string]string
	// set are the fields that change; "" removes one.
	set map[string]string
	// blocks are keys of the run with their new contents.
	blocks map[string][]byte
	// announced is when the run comes into a state that is announced. Zero: it does not.
	announced time.Time
}

// put adds a block of values to an update.
func put[T any](u *update, key string, values []T) (err error) {
	if u.blocks == nil {
		u.blocks = map[string][]byte{}
	}
	u.blocks[key], _, err = pack(values)
	return err
}

// errChanged reports that a run is not as its writer read it.
var errChanged = errors.New("the run was changed by somebody else")

// write changes a run, or returns errChanged. It may be repeated only if the caller
// can see that the first try succeeded. One round trip.
func (s *Service) write(ctx context.Context, id string, u update) error {
	if err := s.noteState(ctx, id, u); err != nil {
		return err
	}
	keys, args := []string{headKey(id)}, []any{s.keep.now().Milliseconds(), len(u.when)}
	for _, field := range slices.Sorted(maps.Keys(u.when)) {
		args = append(args, field, u.when[field])
	}
	for _, k := range slices.Sorted(maps.Keys(u.blocks)) {
		keys, args = append(keys, k), append(args, u.blocks[k])
	}
	for _, field := range slices.Sorted(maps.Keys(u.set)) {
		args = append(args, field, u.set[field])
	}
	answer, err := write.Run(ctx, s.rdb, keys, args...).StringSlice()
	if err != nil {
		return fmt.Errorf("write run %s: %w", id, err)
	}
	if answer[0] != "ok" {
		return errChanged
	}
	return nil
}

// created is when the run was made; 1970 if that cannot be read.
func (h *head) created() time.Time {
	var d storedDraft
	h.read(fieldDraft, &d)
	return time.UnixMicro(d.Created)
}

// view returns a run without its outcomes, unless it has ended.
func (h *head) view() Run {
	if len(h.damage) > 0 {
		return Run{ID: h.id, State: StateDamaged, Reason: h.damagedError().Error(), Created: h.created()}
	}
	r := Run{
		ID: h.id, State: h.state(), Reason: h.fields[fieldReason], By: h.fields[fieldBy], Changed: h.time(fieldChanged),
		Applied: h.time(fieldApplied), Ended: h.time(fieldEnded), Rows: h.rows(), Sealed: h.fields[fieldSealed] != "",
		Progress: h.fields[fieldProgress],
	}
	var d storedDraft
	h.read(fieldDraft, &d)
	h.read(fieldSettings, &r.Settings)
	h.read(fieldPlan, &r.Plan)
	h.read(fieldOutcomes, &r.Outcomes)
	h.read(fieldHistory, &r.History)
	r.Name, r.Author, r.UndoOf, r.File, r.Created = d.Name, d.Author, d.UndoOf, d.File, time.UnixMicro(d.Created)
	if r.Plan != nil {
		r.fed = map[string]int{}
		for _, l := range r.Plan.Lanes {
			n := min(h.number(fieldFedRows+laneName(l)), l.Calls) // more if rows were fed again
			r.fed[laneName(l)] = n
			r.Fed += n
		}
	}
	return r
}

// storedDraft is the part of a Draft that never changes.
type storedDraft struct {
	Name    string `json:"name,omitzero"`
	Author  string `json:"author,omitzero"`
	UndoOf  string `json:"undo_of,omitzero"`
	File    File   `json:"file,omitzero"`
	Created int64  `json:"created"` // Unix µs

	Guards []Guard  `json:"guards,omitempty"`
	Judged []string `json:"judged,omitempty"`
}
