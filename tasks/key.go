package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

const (
	// KeyLife is how long a caller's key holds, from its first use.
	KeyLife = 24 * time.Hour
	// MaxKey is the longest key, in bytes.
	MaxKey = 200

	keyPrefix = "rollcall:key:"
)

// KeyError tells that a key does not have the form of one.
type KeyError struct{ What string }

func (e *KeyError) Error() string { return "key " + e.What }

// KeyReusedError tells that a key was used, within KeyLife, for another task.
type KeyReusedError struct {
	Key    string
	Queue  string // of the task that has it
	TaskID string
}

func (e *KeyReusedError) Error() string {
	if e.TaskID == "" {
		return fmt.Sprintf("key %q stands at an earlier task of the same batch that is not the same: give each task its own key", e.Key)
	}
	return fmt.Sprintf("key %q was used in the last %d hours for another task (%s in %s): give each task its own key",
		e.Key, int(KeyLife.Hours()), e.TaskID, e.Queue)
}

func checkKey(key string) error {
	switch {
	case len(key) > MaxKey:
		return &KeyError{fmt.Sprintf("has %d bytes, at most %d", len(key), MaxKey)}
	case !utf8.ValidString(key):
		return &KeyError{"is not valid UTF-8"}
	case strings.ContainsFunc(key, unprintable):
		return &KeyError{"holds a control character"}
	}
	return nil
}

// reservation is what stands under a key for KeyLife.
//
// It is written before the task is stored, and its state is raised after. So:
//
//   - A caller that dies in between leaves "reserved" behind. Whoever comes next
//     with the key stores under the id and in the queue of the reservation;
//     asynq refuses an id that is there, so that of any number of callers, at
//     any time, one stores. Nobody waits for anybody.
//   - "stored" answers for itself, whatever became of the task since: asynq
//     forgets completed tasks, and an operator may delete any.
//   - What stays open: a caller dies after storing and before raising the
//     state, and the task is deleted by hand, before the next caller comes. Then
//     it is stored again. Tasks with a key are retained for KeyLife for this.
//   - When the reservation expires, the next caller draws another id, so the
//     old task, still retained, is in nobody's way.
//
// Revision and time are not part of it: what one caller stored is one task,
// and who stored it alone knows its revision.
type reservation struct {
	ID     string `json:"id"`
	Queue  string `json:"queue"`
	Digest string `json:"digest"` // of the task, so that one key is not used for two
	State  string `json:"state"`  // reserved or stored
}

const (
	stateReserved = "reserved"
	stateStored   = "stored"
)

// reservations keeps the callers' keys. Its commands may all be repeated, so
// its client may retry: a reservation that a lost reply hides is found by GET,
// and using what one finds is right whoever wrote it.
type reservations struct{ rdb redis.UniversalClient }

// take returns the reservation that holds for the key: ours, or the one that
// is there already.
func (r reservations) take(ctx context.Context, tenant, key string, ours reservation) (reservation, error) {
	ours.State = stateReserved
	record, err := json.Marshal(ours)
	if err != nil {
		return reservation{}, err
	}
	name := keyPrefix + tenant + ":" + key
	// The second round is for a reservation that expires between SET and GET.
	for range 2 {
		err = r.rdb.SetArgs(ctx, name, record, redis.SetArgs{Mode: "NX", TTL: KeyLife}).Err()
		if err == nil {
			return ours, nil
		}
		if !errors.Is(err, redis.Nil) {
			return reservation{}, err
		}
		var there string
		there, err = r.rdb.Get(ctx, name).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return reservation{}, err
		}
		return readReservation(name, key, there, ours.Digest)
	}
	return reservation{}, fmt.Errorf("%s came and went twice: is its server's memory full?", name)
}

func readReservation(name, key, record, digest string) (reservation, error) {
	var held reservation
	if err := json.Unmarshal([]byte(record), &held); err != nil || held.ID == "" || held.Queue == "" {
		return reservation{}, fmt.Errorf("%s does not hold a reservation: delete it, or use another key", name)
	}
	if held.Digest != digest {
		return reservation{}, &KeyReusedError{Key: key, Queue: held.Queue, TaskID: held.ID}
	}
	return held, nil
}

// raise replaces a record by another if it is still the one it was, and leaves
// its time: after KeyLife the key may be somebody else's.
var raise = redis.NewScript(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2], "KEEPTTL")
return 1`)

// settle notes that the task of a reservation was stored. Losing the note opens
// the gap that reservation describes, and nothing more.
func (r reservations) settle(ctx context.Context, tenant, key string, held reservation) error {
	before, err := json.Marshal(held)
	if err != nil {
		return err
	}
	held.State = stateStored
	after, err := json.Marshal(held)
	if err != nil {
		return err
	}
	return raise.Run(ctx, r.rdb, []string{keyPrefix + tenant + ":" + key}, before, after).Err()
}

// digest names a task's contents without its revision.
func digest(task Task) (string, error) {
	typename, payload, err := Encode(task, 1)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(typename+"\n"), payload...))
	return hex.EncodeToString(sum[:16]), nil
}
