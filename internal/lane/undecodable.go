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

func readUndecodable(payload []byte) error {
	var u undecodable
	if err := json.Unmarshal(payload, &u); err != nil {
		return &kinds.PayloadError{Type: TypeUndecodable, What: err.Error()}
	}
	return &UndecodableError{Queue: u.Queue, ID: u.ID, Bytes: max(u.Bytes, len(u.Raw))}
}
