package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

// Again is a task that was stored before, ended without effect, and is to be
// stored anew.
type Again struct {
	TaskID string // of the task that ended
	Tenant string
	Kind   Kind
	Urgent bool
	Key    string // its producer's, to be kept with it; not used up anew

	Type    string
	Payload []byte
}

// Replay stores a task as it was, its revision included: a wish that came after
// it still wins. The new id follows from the old one, so that of any number of
// replays of one task one is stored; the others find it AlreadyThere, for as
// long as asynq keeps it, 10 minutes past its end.
//
// A task that would only fail again is Refused: its payload cannot be read, its
// values are not valid ([*ValidationError]), or no worker serves its lane.
func (c *Client) Replay(ctx context.Context, again Again) Result {
	task, meta, err := Decode(again.Type, again.Payload)
	if err != nil {
		return refused(err)
	}
	r := again.request(task)
	if err := again.stays(task); err != nil {
		return refused(err)
	}
	_, err = c.admit(ctx, r)
	if result, ok := admission(err); !ok {
		return result
	}
	p := again.placement(nextID(again.TaskID))
	outcome, _, err := c.store.put(ctx, asynq.NewTaskWithHeaders(again.Type, again.Payload, headers(Options{Key: again.Key})), c.options(r.Options, p))
	result := Result{Outcome: outcome, TaskID: p.held.ID, Queue: p.held.Queue, Revision: meta.Revision}
	switch outcome {
	case NotStored:
		return p.notStored("store it", err)
	case NotKnown:
		result.Err = p.notKnown(err)
	}
	return result
}

// Replace stores task in the place of one that ended: with a revision of its
// own, marked as the newest wish. It must be for the same lane. Its id follows
// from the old one's and from its contents, as for Replay.
func (c *Client) Replace(ctx context.Context, again Again, task Task) Result {
	r := again.request(task)
	if err := again.stays(task); err != nil {
		return refused(err)
	}
	lane, err := c.admit(ctx, r)
	if result, ok := admission(err); !ok {
		return result
	}
	sum, err := digest(task)
	if err != nil {
		return refused(err)
	}
	return c.place(ctx, r, lane, again.placement(nextID(again.TaskID)+"-"+sum[:8]))
}

func (a Again) request(task Task) Request {
	return Request{Task: task, Options: Options{Urgent: a.Urgent}}
}

func (a Again) placement(id string) placement {
	return placement{tenant: a.Tenant, again: true, held: reservation{ID: id, Queue: Queue(a.Tenant, a.Kind, a.Urgent)}}
}

// stays refuses a task that belongs in another lane than the one it comes from.
func (a Again) stays(task Task) error {
	tenant, kind, ok := laneOf(task)
	switch {
	case !ok:
		return errNotATask(task)
	case kind != a.Kind:
		return &ValidationError{Kind: kind, Problems: []Problem{{Field: "kind", What: "is not " + string(a.Kind) + ": enqueue it as a task of its own"}}}
	case tenant != a.Tenant:
		return &ValidationError{Kind: kind, Problems: []Problem{{Field: "tenant", What: "is not " + a.Tenant + ": enqueue it as a task of its own"}}}
	}
	return nil
}

// admission is the result of a request that was not admitted.
func admission(err error) (Result, bool) {
	if err == nil {
		return Result{}, true
	}
	if _, redisFault := errors.AsType[*StoreError](err); redisFault {
		return Result{Outcome: NotStored, Err: err}, false
	}
	return refused(err), false
}

// nextID numbers the replays of a task: id, id~1, id~2. What a replacement added
// to the number is dropped.
func nextID(id string) string {
	base, last, replayed := strings.Cut(id, "~")
	if !replayed {
		return id + "~1"
	}
	number, _, _ := strings.Cut(last, "-")
	n, err := strconv.Atoi(number)
	if err != nil { // somebody else's tilde
		sum := sha256.Sum256([]byte(id))
		return hex.EncodeToString(sum[:16]) + "~1"
	}
	return base + "~" + strconv.Itoa(n+1)
}
