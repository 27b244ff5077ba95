package lane

import (
	"encoding/json"
	"fmt"

	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
)

// TypeUndecodable is the asynq type of the stand-in for a message that asynq cannot
// read. asynq takes such a message from the queue, fails to decode it, and leaves it
// "active" without end. The stand-in is a task that asynq can read, show and archive.
const TypeUndecodable = "rollcall:undecodable"

// undecodable is the stand-in's payload.
type undecodable struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
	Raw   []byte `json:"raw"` // the original bytes, base64 in JSON, up to ledger.MaxKept; empty if there were none
	// Bytes and SHA256 are the length and the hash of a message that was cut.
	Bytes  int    `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// StandIn returns the stand-in for a message of a queue.
func StandIn(queue, id string, raw []byte) (*asynq.Task, error) {
	var kept ledger.DeadLetter
	kept.Cut(raw)
	payload, err := json.Marshal(undecodable{Queue: queue, ID: id, Raw: kept.Payload, Bytes: kept.PayloadBytes, SHA256: kept.PayloadSHA256})
	if err != nil {
		return nil, fmt.Errorf("keep message %s: %w", id, err)
	}
	return asynq.NewTask(TypeUndecodable, payload), nil
}

// UndecodableError reports a message that asynq cannot read.
type UndecodableError struct {
	Queue, ID string
	Bytes     int
}

// Error returns what was found in which queue, and what to do.
func (e *UndecodableError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("queue %s listed a task %s that has no message in Redis: enqueue it again if it is still needed", e.Queue, e.ID)
	}
	return fmt.Sprintf("queue %s held a message %s of %d bytes that is not an asynq task, or too long for one; its first bytes are kept in field raw: "+
		"find the other program that writes to this Redis, and enqueue the task again with the enqueue command", e.Queue, e.ID, e.Bytes)
}

func readUndecodable(payload []byte) error {
	var u undecodable
	if err := json.Unmarshal(payload, &u); err != nil {
		return &kinds.PayloadError{Type: TypeUndecodable, What: err.Error()}
	}
	return &UndecodableError{Queue: u.Queue, ID: u.ID, Bytes: max(u.Bytes, len(u.Raw))}
}
