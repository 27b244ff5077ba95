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

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// ahead is how far ahead of Redis' clock a time of a run can be: the clock of another day
// may have been wrong.
const ahead = 24 * time.Hour

// farthest is the latest time that is read: no clock shows a later one.
var farthest = time.UnixMicro(ledger.MaxRevision)

// forms are what the fields of JSON hold.
var forms = map[string]func() any{
	fieldDraft:     func() any { return new(storedDraft) },
	fieldSettings:  func() any { return new(Settings) },
	fieldPlan:      func() any { return new(Plan) },
	fieldNewest:    func() any { return new(map[string]int64) },
	fieldRevisions: func() any { return new(map[string]int64) },
	fieldPrepared:  func() any { return new(readiness) },
	fieldJudged:    func() any { return new(judgement) },
	fieldOutcomes:  func() any { return new(map[Outcome]int) },
	fieldHistory:   func() any { return new([]Step) },
}

// unfit returns what a field of a run should hold, "" if it can be what was written. most
// is the latest time.
func unfit(field, value string, most time.Time) string {
	bounded := func(most int64, what string) string {
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 || n > most {
			return what
		}
		return ""
	}
	switch kind, _, _ := strings.Cut(field, ":"); kind + ":" {
	case fieldState + ":":
		if !slices.Contains(States(), State(value)) {
			return "a state that this version knows"
		}
	case fieldRows + ":", fieldFed:
		return bounded(MaxRows, "a number of rows")
	case fieldFedRows: // more than the run has if rows were fed again
		return bounded(ledger.MaxRevision, "a number of rows")
	case fieldChanged + ":", fieldApplied + ":", fieldEnded + ":", fieldRenewed + ":":
		return bounded(most.UnixMicro(), "a time, Unix µs, that has passed")
	}
	if form := forms[field]; form != nil && json.Unmarshal([]byte(value), form()) != nil {
		return "the JSON that rollcall writes"
	}
	return ""
}

// unfit returns the fields of a run that are damaged.
func (h *head) unfit(most time.Time) []ledger.Damage {
	var found []ledger.Damage
	add := func(field, want string) {
		found = append(found, ledger.Damage{
			Key: headKey(h.id), Entry: field, Value: h.fields[field], What: fmt.Sprintf("field %.80q of the run is not %s", field, want),
		})
	}
	if h.fields[fieldState] == "" {
		add(fieldState, "there")
	}
	for _, field := range slices.Sorted(maps.Keys(h.fields)) {
		if want := unfit(field, h.fields[field], most); want != "" {
			add(field, want)
		}
	}
	if n, planned := h.planned(); planned && len(found) == 0 && n != h.rows() {
		add(fieldRows, fmt.Sprintf("%d, the number of rows of the plan", n))
	}
	return found
}

// planned returns how many rows the plan has.
func (h *head) planned() (rows int, ok bool) {
	var p *Plan
	if !h.read(fieldPlan, &p) || p == nil {
		return 0, false
	}
	for _, n := range p.Counts {
		rows += n
	}
	return rows, true
}

// applied reports whether the run was applied, also if its state cannot be read.
func (h *head) applied() bool { return h.fields[fieldRevisions] != "" }

// damagedError returns an error if the record of the run cannot be read.
func (h *head) damagedError() error {
	if len(h.damage) == 0 {
		return nil
	}
	return &ledger.DamagedError{Damage: h.damage[0]}
}

// ofKey names the key in an error about its type.
func ofKey(err error, key, kind string) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return &ledger.DamagedError{Damage: ledger.Damage{Key: key, What: "is not a " + kind}}
	}
	return err
}

// readBlock returns what a block holds. A *ledger.DamagedError: it cannot be read.
func readBlock[T any](key string, answer *redis.StringCmd) (values []T, raw []byte, err error) {
	packed, err := answer.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, nil, ofKey(err, key, "string")
	}
	return readStored[T](key, packed)
}

// readStored returns what the value of a block holds; nil: MGET found no text there.
func readStored[T any](key string, stored any) (values []T, raw []byte, err error) {
	packed, _ := stored.(string)
	if values, raw, err = unpack[T]([]byte(packed)); err != nil {
		return nil, nil, &ledger.DamagedError{Damage: ledger.Damage{Key: key, What: err.Error()}}
	}
	return values, raw, nil
}

// Inspect reads all keys of a run, and returns what is damaged in them. *NotFoundError if
// there is no such run. A round trip for each 50 blocks of 256 rows, and some more.
func (s *Service) Inspect(ctx context.Context, id string) ([]ledger.Damage, error) {
	h, err := s.loadDamaged(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case h.fields == nil:
		return h.damage, nil
	}
	found := h.unfit(h.now.Add(ahead))
	if unfit(fieldRows, h.fields[fieldRows], farthest) == "" {
		if n, planned := h.planned(); planned {
			h.fields[fieldRows] = strconv.Itoa(n)
		}
		more, err := s.inspectBlocks(ctx, h)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if _, err := s.excluded(ctx, id); err != nil {
		d, ok := errors.AsType[*ledger.DamagedError](err)
		switch {
		case !ok:
			return nil, err
		case d.Entry != "":
			return append(found, d.Damage), nil
		}
		wrong, err := s.ledger.WrongTypes(ctx, []ledger.KeyType{{Key: excludedKey(id), Type: "string"}})
		return append(found, wrong...), err
	}
	return found, nil
}

func (s *Service) inspectBlocks(ctx context.Context, h *head) (found []ledger.Damage, err error) {
	for numbers := range slices.Chunk(span(0, blocksOf(h.rows())), listPage) {
		rows, plans := make([]*redis.StringCmd, len(numbers)), make([]*redis.StringCmd, len(numbers))
		_, _ = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, b := range numbers {
				rows[i], plans[i] = p.Get(ctx, rowsKey(h.id, b)), p.Get(ctx, planKey(h.id, b))
			}
			return nil
		}) // each command has its own error
		for i, b := range numbers {
			records, _, err := readBlock[rowRecord](rowsKey(h.id, b), rows[i])
			if found, err = h.judgeBlock(found, rowsKey(h.id, b), b, len(records), err); err != nil {
				return nil, err
			}
			if h.fields[fieldPlan] == "" || h.fields[fieldDigest] == "" && !h.applied() {
				continue // it has no plan, or is being planned
			}
			decisions, _, err := readBlock[planRecord](planKey(h.id, b), plans[i])
			if found, err = h.judgeBlock(found, planKey(h.id, b), b, len(decisions), err); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// judgeBlock adds the damage of a block with n rows.
func (h *head) judgeBlock(found []ledger.Damage, key string, b, n int, err error) ([]ledger.Damage, error) {
	d, damaged := errors.AsType[*ledger.DamagedError](err)
	switch want := h.inBlock(b); {
	case damaged:
		return append(found, d.Damage), nil
	case err == nil && n != want:
		return append(found, ledger.Damage{Key: key, What: fmt.Sprintf("has %d rows, not %d", n, want)}), nil
	}
	return found, err
}

// inBlock returns how many rows are in a block.
func (h *head) inBlock(b int) int { return min(blockRows, h.rows()-b*blockRows) }

// InspectShared returns what is damaged in the keys that all runs share, and in the
// records of runs: of the newest 50, and of those that were applied. Four round trips.
func (s *Service) InspectShared(ctx context.Context) ([]ledger.Damage, error) {
	applied, err := s.rdb.SMembers(ctx, appliedKey).Result()
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("read which runs were applied: %w", err)
	}
	newest, err := s.newest(ctx, 0, listPage)
	if _, damaged := errors.AsType[*ledger.DamagedError](err); err != nil && !damaged {
		return nil, err
	}
	keys := []ledger.KeyType{{Key: indexKey, Type: "zset"}, {Key: appliedKey, Type: "set"}}
	for _, t := range backlog.Types(Queue, s.now()) {
		keys = append(keys, ledger.KeyType(t))
	}
	var ids []string
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(applied, newest...)))) {
		if validID(id) {
			ids = append(ids, id)
			keys = append(keys, ledger.KeyType{Key: backlog.Key(Queue, "t:"+id), Type: "hash"})
		}
	}
	found, err := s.ledger.WrongTypes(ctx, keys)
	if err != nil {
		return nil, err
	}
	heads, err := s.loadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if h.fields != nil {
			found = append(found, h.unfit(h.now.Add(ahead))...)
		} else {
			found = append(found, h.damage...)
		}
	}
	listed, err := s.inspectIndex(ctx)
	return append(append(found, listed...), invalid(appliedKey, applied)...), err
}

// invalid returns the members of a set that are no ids of runs.
func invalid(key string, ids []string) (found []ledger.Damage) {
	for _, id := range ids {
		if !validID(id) && len(found) < ledger.Cluttered {
			found = append(found, ledger.Damage{Key: key, Entry: id, What: fmt.Sprintf("member %.80q is not the id of a run", id)})
		}
	}
	return found
}

// inspectIndex returns the newest entries of the list of runs that are no runs, or have a
// time that has not come.
func (s *Service) inspectIndex(ctx context.Context) ([]ledger.Damage, error) {
	entries, err := s.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: indexKey, Start: 0, Stop: listPage - 1, Rev: true}).Result()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	now := s.now()
	var found []ledger.Damage
	for _, z := range entries {
		id, _ := z.Member.(string)
		d := ledger.Damage{Key: indexKey, Entry: id, Value: strconv.FormatFloat(z.Score, 'g', -1, 64)}
		switch {
		case !validID(id):
			d.What = fmt.Sprintf("member %.80q is not the id of a run", id)
		case z.Score > float64(now.Add(ahead).UnixMicro()):
			d.Becomes, d.What = micros(now), fmt.Sprintf("the time of run %s, %s, has not come", id, d.Value)
		default:
			continue
		}
		found = append(found, d)
	}
	return found, nil
}
