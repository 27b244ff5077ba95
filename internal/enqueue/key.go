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

// heldKey is the reservation of a key, or why there is none.
type heldKey struct {
	reservation
	err error
}

// take returns the reservations of the keys of submissions, in their order: ours, or the
// existing ones. One round trip, two if there are existing ones.
func (r reservations) take(ctx context.Context, submissions []*submission) []heldKey {
	held := make([]heldKey, len(submissions))
	open := make([]int, len(submissions))
	for i := range open {
		open[i] = i
	}
	// The second round is for reservations that expire between SET and GET.
	for range 2 {
		if len(open) == 0 {
			return held
		}
		open = r.read(ctx, submissions, held, r.reserve(ctx, submissions, held, open))
	}
	for _, i := range open {
		held[i].err = fmt.Errorf("%s expired twice at once: check whether its server's memory is full", submissions[i].keyName())
	}
	return held
}

// reserve writes the reservations of open submissions, and returns those that exist.
func (r reservations) reserve(ctx context.Context, submissions []*submission, held []heldKey, open []int) (exist []int) {
	set := make([]*redis.StatusCmd, len(open))
	_, _ = r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range open {
			ours := submissions[i].held
			ours.State = stateReserved
			record, err := json.Marshal(ours)
			if held[i] = (heldKey{ours, err}); err != nil {
				continue
			}
			set[n] = p.SetArgs(ctx, submissions[i].keyName(), record, redis.SetArgs{Mode: "NX", TTL: tasks.KeyLife})
		}
		return nil
	}) // each command has its own error
	for n, i := range open {
		switch {
		case set[n] == nil:
		case errors.Is(set[n].Err(), redis.Nil):
			exist = append(exist, i)
		default:
			held[i].err = set[n].Err()
		}
	}
	return exist
}

// read reads the reservations of submissions, and returns those that do not exist any more.
func (r reservations) read(ctx context.Context, submissions []*submission, held []heldKey, exist []int) (open []int) {
	if len(exist) == 0 {
		return nil
	}
	get := make([]*redis.StringCmd, len(exist))
	_, _ = r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range exist {
			get[n] = p.Get(ctx, submissions[i].keyName())
		}
		return nil
	}) // each command has its own error
	for n, i := range exist {
		p := submissions[i]
		there, err := get[n].Result()
		switch {
		case errors.Is(err, redis.Nil):
			open = append(open, i)
		case err != nil:
			held[i] = heldKey{err: err}
		default:
			before, err := readReservation(p.keyName(), p.key, there, p.held.Digest)
			held[i] = heldKey{before, err}
		}
	}
	return open
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
const raise = `
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2], "KEEPTTL")
return 1`

// settle records that the tasks of reservations were stored, and returns the error of each.
// If a record is lost, only the gap that reservation describes opens. One round trip.
func (r reservations) settle(ctx context.Context, submissions []*submission) []error {
	if len(submissions) == 0 {
		return nil
	}
	faults := make([]error, len(submissions))
	raised := make([]*redis.Cmd, len(submissions))
	_, _ = r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range submissions {
			held := s.held
			before, err := json.Marshal(held)
			held.State = stateStored
			after, failed := json.Marshal(held)
			if faults[i] = errors.Join(err, failed); faults[i] == nil {
				raised[i] = p.Eval(ctx, raise, []string{s.keyName()}, before, after)
			}
		}
		return nil
	}) // each command has its own error
	for i, cmd := range raised {
		if cmd != nil {
			faults[i] = cmd.Err()
		}
	}
	return faults
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
