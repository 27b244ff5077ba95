package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/outcome"
)

// DeadLanes is the Redis set of the lanes that ever had a dead letter: it finds those
// of lanes that no worker serves any more.
const DeadLanes = "rollcall:dead:lanes"

// DeadLetter is a dead letter: a task that no retry can complete, whole, with the reason.
// It is kept until a person resolves it, however many there are.
type DeadLetter struct {
	ID           string `json:"id"` // of the task in asynq
	Lane         string `json:"lane"`
	Tenant       string `json:"tenant,omitzero"`
	Kind         string `json:"kind,omitzero"`
	Organisation string `json:"organisation,omitzero"`
	Urgent       bool   `json:"urgent,omitzero"` // from the urgent queue
	Key          string `json:"key,omitzero"`

	Type    string `json:"type,omitzero"`
	Payload []byte `json:"payload"` // as it was found, up to MaxKept
	// PayloadBytes is the length of a payload that is printed masked, or that is longer than
	// 64 KiB: of that only the first 64 KiB are kept.
	PayloadBytes  int    `json:"payload_bytes,omitzero"`
	PayloadSHA256 string `json:"payload_sha256,omitzero"` // hash of the whole, if it is longer than 64 KiB

	Run      string `json:"run,omitzero"` // that the task was enqueued with
	Row      int    `json:"row,omitzero"`
	Target   string `json:"target,omitzero"`
	Revision int64  `json:"revision,omitzero"`

	Class     string `json:"class"`
	Code      string `json:"code,omitzero"`
	Message   string `json:"message,omitzero"`
	RequestID string `json:"request_id,omitzero"`
	Todo      string `json:"todo,omitzero"`
	Cause     string `json:"cause,omitzero"` // class, code and message in one line

	Attempts map[string]int `json:"attempts,omitempty"` // failed attempts by class
	First    time.Time      `json:"first,omitzero"`     // the first failed attempt
	Last     time.Time      `json:"last,omitzero"`      // time of death
}

// MaxKept is how many bytes of a payload or a text a dead letter keeps. No task that can
// be read is longer.
const MaxKept = 64 << 10

// Cut sets the payload of a dead letter: its beginning and its hash if it is too long.
func (d *DeadLetter) Cut(payload []byte) {
	d.Payload, d.PayloadBytes, d.PayloadSHA256 = payload, 0, ""
	if len(payload) <= MaxKept {
		return
	}
	sum := sha256.Sum256(payload)
	d.Payload, d.PayloadBytes, d.PayloadSHA256 = bytes.Clone(payload[:MaxKept]), len(payload), hex.EncodeToString(sum[:])
}

// bound cuts everything in a dead letter that is too long.
func (d *DeadLetter) bound() {
	if len(d.Payload) > MaxKept {
		d.Cut(d.Payload)
	}
	for _, text := range []*string{&d.Key, &d.Type, &d.Run, &d.Target, &d.Code, &d.Message, &d.RequestID, &d.Todo, &d.Cause} {
		if len(*text) <= MaxKept+cutNote {
			continue
		}
		sum := sha256.Sum256([]byte(*text))
		*text = fmt.Sprintf("%s … (%d bytes, SHA-256 %x)", strings.ToValidUTF8((*text)[:MaxKept], ""), len(*text), sum)
	}
}

// cutNote bounds the length of the note at the end of a text that was cut: it is not cut
// again.
const cutNote = 128

// cause groups dead letters. A class has no bar in it, a code may have.
func cause(class, code string) string { return class + "|" + code }

// deadKeys are the keys of a lane's dead letters. The tag in braces keeps them on one
// node of a Cluster.
type deadKeys string

func (k deadKeys) key(name string) string { return "rollcall:{" + string(k) + "}:dead:" + name }
func (k deadKeys) bodies() string         { return k.key("letters") }
func (k deadKeys) positions() string      { return k.key("places") }
func (k deadKeys) causes() string         { return k.key("causes") }
func (k deadKeys) todos() string          { return k.key("todos") }

// index lists dead letters as members "<time><task id>" of equal score, so that a page
// begins at a member and not at a rank. "": of all causes.
func (k deadKeys) index(of string) string {
	if of == "" {
		return k.key("times")
	}
	return k.causes() + ":" + of
}

func (k deadKeys) keys() []string {
	return []string{k.bodies(), k.positions(), k.index(""), k.causes()}
}

// instantLen is the length of a time in the indexes.
const instantLen = 16

// instant is a time as the indexes hold it.
func instant(t time.Time) string { return fmt.Sprintf("%016d", max(t.UnixMicro(), 0)) }

var (
	addDead    = script("deadadd")
	removeDead = script("deadremove")
	deadPage   = script("deadpage")
)

// AddDeadLetter adds a dead letter and reports whether its task had none. It replaces one
// that is there, and keeps the time of its first failure: a task that fails for good
// twice has one dead letter. Two round trips, four for the second.
func (l *Ledger) AddDeadLetter(ctx context.Context, dead DeadLetter) (fresh bool, err error) {
	fresh, err = l.addDeadLetter(ctx, dead, false)
	if err != nil || fresh {
		return fresh, err
	}
	before, found, err := l.DeadLetter(ctx, dead.Lane, dead.ID)
	if err != nil {
		return false, err
	}
	if found && before.First.Before(dead.First) {
		dead.First = before.First
	}
	return l.addDeadLetter(ctx, dead, true)
}

// AddDeadLetterOnce adds a dead letter unless its task has one, and reports whether it
// did. Two round trips.
func (l *Ledger) AddDeadLetterOnce(ctx context.Context, dead DeadLetter) (fresh bool, err error) {
	return l.addDeadLetter(ctx, dead, false)
}

func (l *Ledger) addDeadLetter(ctx context.Context, dead DeadLetter, replace bool) (fresh bool, err error) {
	dead.bound()
	dead.First, dead.Last = dead.First.UTC().Truncate(time.Microsecond), dead.Last.UTC().Truncate(time.Microsecond)
	record, err := json.Marshal(dead, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return false, fmt.Errorf("ledger: dead letter of task %s: %w", dead.ID, err)
	}
	// First the lane: nothing finds a dead letter of a lane that is not listed.
	if err := l.Announce(ctx, dead.Lane); damaging(err) {
		l.damage(DeadLanes, "is not a set: dead letters are found by the lanes of workers alone")
	} else if err != nil {
		return false, err
	}
	mode := ""
	if replace {
		mode = "replace"
	}
	keys := deadKeys(dead.Lane)
	n, err := addDead.Run(ctx, l.rdb, append(keys.keys(), keys.todos()),
		dead.ID, record, instant(dead.Last), cause(dead.Class, dead.Code), mode, dead.Todo).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: add the dead letter of task %s: %w", dead.ID, l.explainDead(ctx, deadKeys(dead.Lane), err, cause(dead.Class, dead.Code)))
	}
	return n == 1, nil
}

// Announce lists a lane among those that have dead letters. One round trip.
func (l *Ledger) Announce(ctx context.Context, lane string) error {
	if err := l.rdb.SAdd(ctx, DeadLanes, lane).Err(); err != nil {
		return fmt.Errorf("ledger: list lane %s among those that have dead letters: %w", lane, err)
	}
	return nil
}

// RemoveDeadLetters removes the dead letters of tasks and returns how many there were.
// One round trip; ids should not be more than some hundred.
func (l *Ledger) RemoveDeadLetters(ctx context.Context, lane string, ids ...string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	n, err := removeDead.Run(ctx, l.rdb, deadKeys(lane).keys(), args...).Int()
	if err != nil {
		return 0, fmt.Errorf("ledger: remove dead letters of lane %s: %w", lane, l.explainDead(ctx, deadKeys(lane), err))
	}
	return n, nil
}

// DeadLetter reads the dead letter of a task. One round trip.
func (l *Ledger) DeadLetter(ctx context.Context, lane, id string) (dead DeadLetter, found bool, err error) {
	records, err := l.rdb.HMGet(ctx, deadKeys(lane).bodies(), id).Result()
	if err != nil {
		return DeadLetter{}, false, fmt.Errorf("ledger: read the dead letter of task %s: %w", id, err)
	}
	record, found := records[0].(string)
	if !found {
		return DeadLetter{}, false, nil
	}
	return readDeadLetter(lane, id, record), true, nil
}

// WithoutDeadLetter returns those of ids that have no dead letter. One round trip.
func (l *Ledger) WithoutDeadLetter(ctx context.Context, lane string, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	positions, err := l.rdb.HMGet(ctx, deadKeys(lane).positions(), ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: find dead letters of lane %s: %w", lane, err)
	}
	var without []string
	for i, position := range positions {
		if position == nil {
			without = append(without, ids[i])
		}
	}
	return without, nil
}

// DeadLetterLanes lists the lanes that ever had a dead letter, sorted. One round trip.
func (l *Ledger) DeadLetterLanes(ctx context.Context) ([]string, error) {
	lanes, err := l.rdb.SMembers(ctx, DeadLanes).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: list the lanes that have dead letters: %w", err)
	}
	slices.Sort(lanes)
	return lanes, nil
}

// readDeadLetter reads a dead letter as it is stored. One that cannot be read is returned
// with its text as the payload, because a newer version may have written it, and people
// must see it.
func readDeadLetter(lane, id, record string) DeadLetter {
	var dead DeadLetter
	if err := json.Unmarshal([]byte(record), &dead, jsontext.AllowInvalidUTF8(true)); err != nil {
		return DeadLetter{
			ID: id, Lane: lane, Class: string(outcome.Unreadable), Payload: []byte(record),
			Cause: "unreadable: this version cannot read the dead letter, which is kept as it is in the payload · to do: use the newest version",
		}
	}
	dead.ID, dead.Lane = id, lane // JSON has no id that is not UTF-8
	return dead
}

// CauseCount is the number of dead letters of a lane that have one cause.
type CauseCount struct {
	Class, Code string
	DeadLetters int64
}

// A Todo is what to do about dead letters of a class and code.
type Todo struct{ Class, Code, Todo string }

// Todos returns what to do about each cause of which a lane ever had a dead letter, sorted.
// One round trip.
func (l *Ledger) Todos(ctx context.Context, lane string) ([]Todo, error) {
	fields, err := l.rdb.HGetAll(ctx, deadKeys(lane).todos()).Result()
	if damaging(err) {
		l.damage(deadKeys(lane).todos(), "is not a hash: what to do about dead letters of lane %s is not known", lane)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: read what to do about dead letters of lane %s: %w", lane, err)
	}
	var all []Todo
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		class, code, _ := strings.Cut(field, "|")
		all = append(all, Todo{class, code, fields[field]})
	}
	return all, nil
}

// DeadCauses counts the dead letters of lanes by cause, the most frequent first. The cost
// grows with the causes, not with the dead letters: one pipelined round trip, or one for each
// 200 lanes of a Redis that is one node. A lane whose key is damaged has none, which is
// reported as damage.
func (l *Ledger) DeadCauses(ctx context.Context, lanes ...string) (map[string][]CauseCount, error) {
	read := l.fewCauses
	if _, cluster := l.rdb.(*redis.ClusterClient); !cluster && len(lanes) > fewLanes {
		read = l.manyCauses
	}
	all, err := read(ctx, lanes)
	if err != nil {
		return nil, err
	}
	counts := make(map[string][]CauseCount, len(lanes))
	for _, lane := range lanes {
		fields, readable := all[lane]
		if !readable {
			l.damage(deadKeys(lane).causes(), "is not a hash: the dead letters of lane %s are not counted", lane)
			continue
		}
		var damaged []string
		counts[lane], damaged = readCauses(fields)
		for _, field := range damaged {
			l.damage(deadKeys(lane).causes(), "the number of dead letters with cause %.80q is no number", field)
		}
	}
	return counts, nil
}

// fewCauses reads the keys of counts of lanes with a command each, in one pipeline. A key of
// another type is left out.
func (l *Ledger) fewCauses(ctx context.Context, lanes []string) (map[string]map[string]string, error) {
	answers := make([]*redis.MapStringStringCmd, len(lanes))
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, lane := range lanes {
			answers[i] = p.HGetAll(ctx, deadKeys(lane).causes())
		}
		return nil
	}) // each command has its own error
	all := make(map[string]map[string]string, len(lanes))
	for i, lane := range lanes {
		if err := answers[i].Err(); redis.HasErrorPrefix(err, "WRONGTYPE") {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("ledger: count dead letters: %w", err)
		}
		all[lane] = answers[i].Val()
	}
	return all, nil
}

// readCauses returns the counts, and the fields that hold none.
func readCauses(fields map[string]string) (causes []CauseCount, damaged []string) {
	for field, text := range fields {
		class, code, _ := strings.Cut(field, "|")
		n, ok := number(text)
		if !ok {
			damaged = append(damaged, field)
			continue
		}
		causes = append(causes, CauseCount{Class: class, Code: code, DeadLetters: n})
	}
	slices.SortFunc(causes, func(x, y CauseCount) int {
		return cmp.Or(cmp.Compare(y.DeadLetters, x.DeadLetters), strings.Compare(cause(x.Class, x.Code), cause(y.Class, y.Code)))
	})
	return causes, damaged
}
