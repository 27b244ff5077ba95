package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lease"
	"rollcall/internal/ledger"
	"rollcall/internal/problem"
)

const (
	// keyLife is how long an Idempotency-Key is remembered after its request succeeded.
	keyLife = 24 * time.Hour
	// oncePrefix is followed by the name of the token, a colon, and a hash of the key.
	oncePrefix = "rollcall:api:key:"
)

// Once is the header of requests that are carried out once.
type Once struct {
	Key string `doc:"Name of the request, of your own. A repeated request with the same key and content gets the first answer, for 24 hours after it succeeded. With another content it is refused (422), and while the first has not ended, too (409)." header:"Idempotency-Key" maxLength:"200"`
}

// once carries out requests with an Idempotency-Key once. Only success is remembered: a
// request that was refused stored nothing, and may be corrected.
type once struct {
	rdb    redis.UniversalClient
	leases lease.Leases
}

// remembered is the value of a key.
type remembered struct {
	Digest string `json:"digest"` // of the request
	Lock   string `json:"lock,omitzero"`
	// Output is the answer; empty: the request has not ended.
	Output jsontext.Value `json:"output,omitzero"`
}

// digest identifies the content of a request. A text of a client that is not judged yet is a
// part as bytes: in headers and URLs it may be no UTF-8, which has no JSON.
func digest(operation string, parts ...any) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00", operation)
	for _, p := range parts {
		text, _ := json.Marshal(p, json.Deterministic(true)) // texts, numbers and hashes
		h.Write(text)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// carryOut carries out a request once. Without a key it is simply carried out. replayed
// reports that the answer is that of an earlier request.
func carryOut[O any](ctx context.Context, o once, c caller, key, digest string, do func() (*O, error)) (out *O, replayed bool, err error) {
	if key == "" {
		out, err = do()
		return out, false, err
	}
	sum := sha256.Sum256([]byte(key))
	name := oncePrefix + c.Token + ":" + hex.EncodeToString(sum[:])
	value := text(remembered{Digest: digest, Lock: uuid.NewString()})
	taken, held, err := o.leases.Take(ctx, name, value)
	if err != nil {
		return nil, false, err
	}
	if taken == nil {
		out, err = recallOutput[O](held, digest)
		return out, true, err
	}
	last := "" // also after a panic: the request may be sent again
	defer func() {
		if failed := taken.Release(ctx, last, keyLife); failed != nil && err == nil {
			out, err = nil, failed
		}
	}()
	if out, err = do(); err != nil {
		return out, false, err
	}
	output, err := json.Marshal(out)
	if err != nil {
		return out, false, fmt.Errorf("keep the answer of an Idempotency-Key: %w", err)
	}
	last = text(remembered{Digest: digest, Output: output})
	return out, false, nil
}

// runID returns the id of the run that a request makes. A request whose answer was lost, or not
// remembered, has the same one when it is repeated.
func (o once) runID(ctx context.Context, c caller, key, sum string) (string, error) {
	id := ledger.NewRunID()
	if key == "" {
		return id, nil
	}
	name := oncePrefix + c.Token + ":" + digest("run", []byte(key), sum)
	fresh, err := o.rdb.SetNX(ctx, name, id, keyLife).Result()
	if err != nil || fresh {
		return id, err
	}
	known, err := o.rdb.Get(ctx, name).Result()
	switch {
	case errors.Is(err, redis.Nil): // the key has expired by now
		return id, nil
	case err == nil && !ledger.IsRunID(known):
		err = damagedKey()
	}
	return known, err
}

func damagedKey() *problem.Problem {
	return problem.New(problem.Damaged, "the record of the Idempotency-Key is damaged: use another key").After(repairWithin)
}

// recallOutput returns the answer of an earlier request.
func recallOutput[O any](held, digest string) (*O, error) {
	inUse := problem.New(problem.KeyInUse, "a request with the same Idempotency-Key has not ended").After(0)
	if held == "" {
		return nil, inUse
	}
	var r remembered
	switch err := json.Unmarshal([]byte(held), &r); {
	case err != nil:
		return nil, damagedKey()
	case r.Digest != digest:
		return nil, problem.New(problem.KeyReused, "the Idempotency-Key was used in the last 24 hours for another request")
	case len(r.Output) == 0:
		return nil, inUse
	}
	out := new(O)
	if err := json.Unmarshal(r.Output, out); err != nil {
		return nil, damagedKey()
	}
	return out, nil
}

// text returns one of our own types as JSON.
func text(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(fmt.Sprintf("api: %T has no JSON: %v", v, err))
	}
	return string(b)
}
