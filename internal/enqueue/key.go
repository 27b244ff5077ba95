package enqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

const keyPrefix = "rollcall:key:"

// reservation is the record of a key. Redis keeps it for tasks.KeyLife.
//
// It is written before the task is stored, and its state is raised after. So:
//
//   - A caller that dies in between leaves "reserved" behind. The next caller
//     with the key stores under the id and in the queue of the reservation. asynq
//     refuses an id that exists, so that of any number of callers, at any time,
//     one stores. No caller waits for another.
//   - "stored" is final, even if the task no longer exists: asynq forgets
//     completed tasks, and an operator may delete any.
//   - One gap is left: a caller dies after storing and before raising the state,
//     and the task is deleted by hand before the next caller. Then it is stored
//     again. Tasks with a key are retained for tasks.KeyLife for this reason.
//   - When the reservation expires, the next caller draws another id, so the old
//     task, still retained, does not conflict.
//
// It holds no revision and no time: only the caller that stored the task knows
// its revision.
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

// reservations stores the callers' keys. All its commands may be retried: a reservation
// that a lost reply hides is found by GET, and it is correct to use it regardless of
// which caller wrote it.
type reservations struct{ rdb redis.UniversalClient }

// take returns the reservation of the key: ours, or the existing one.
func (r reservations) take(ctx context.Context, tenant, key string, ours reservation) (reservation, error) {
	ours.State = stateReserved
	record, err := json.Marshal(ours)
	if err != nil {
		return reservation{}, err
	}
	name := keyPrefix + tenant + ":" + key
	// The second round is for a reservation that expires between SET and GET.
	for range 2 {
		err = r.rdb.SetArgs(ctx, name, record, redis.SetArgs{Mode: "NX", TTL: tasks.KeyLife}).Err()
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
	return reservation{}, fmt.Errorf("%s expired twice at once: check whether its server's memory is full", name)
}

func readReservation(name, key, record, digest string) (reservation, error) {
	var held reservation
	if err := json.Unmarshal([]byte(record), &held); err != nil || held.ID == "" || held.Queue == "" {
		return reservation{}, fmt.Errorf("%s does not contain a reservation: delete it, or use another key", name)
	}
	if held.Digest != digest {
		return reservation{}, &tasks.KeyReusedError{Key: key, Queue: held.Queue, TaskID: held.ID}
	}
	return held, nil
}

// raise replaces a record if it has not changed, and keeps its time to live: after that
// time the key may belong to another caller.
var raise = redis.NewScript(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2], "KEEPTTL")
return 1`)

// settle records that the task of a reservation was stored. If this record is lost,
// only the gap that reservation describes opens.
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

// digest identifies a task's contents without its revision.
func digest(task tasks.Task) (string, error) {
	typename, payload, err := kinds.Encode(task, 1)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(typename+"\n"), payload...))
	return hex.EncodeToString(sum[:16]), nil
}
