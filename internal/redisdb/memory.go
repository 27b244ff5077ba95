package redisdb

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Memory notices that a Redis has lost its data while a process ran: it was
// emptied, was started again without its files, or a replica took over that had
// not received everything. It keeps a random word under each of its keys; a word
// that is missing or another one shows the loss. Not for concurrent use.
type Memory struct {
	rdb  redis.UniversalClient
	keys []string
	seen map[string]string // by key; nil before the first look
}

// NewMemory returns a Memory that keeps a word under each key. In a Cluster the
// keys choose the nodes that are looked at. rdb stays the caller's to close.
func NewMemory(rdb redis.UniversalClient, keys ...string) *Memory {
	return &Memory{rdb: rdb, keys: keys}
}

// Look checks the words and reports whether one is another than at the last look.
// It writes in any case, as Redis sees it, so it fails with the error of a Redis
// that takes no writes; where the word is there, nothing reaches the replicas or
// the disk. One round trip, or one to each node of a Cluster.
func (m *Memory) Look(ctx context.Context) (lost bool, err error) {
	words, fresh := make([]*redis.StringCmd, len(m.keys)), uuid.NewString()
	if _, err := m.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range m.keys {
			p.SetNX(ctx, key, fresh, 0)
			words[i] = p.Get(ctx, key)
		}
		return nil
	}); err != nil {
		return false, fmt.Errorf("check that Redis takes writes: %w", err)
	}
	before := m.seen
	m.seen = make(map[string]string, len(m.keys))
	for i, key := range m.keys {
		m.seen[key] = words[i].Val()
		lost = lost || before != nil && before[key] != m.seen[key]
	}
	return lost, nil
}

// Forget has the next look report a loss: what followed from the last one failed.
func (m *Memory) Forget() { m.seen = map[string]string{} }

// Writable returns nil if Redis takes writes of key, else why not. It changes
// nothing. One round trip.
func Writable(ctx context.Context, rdb redis.UniversalClient, key string) error {
	// A write of a key that does not exist: checked like any, and then not done.
	if err := rdb.SetXX(ctx, key, "", 0).Err(); err != nil {
		return fmt.Errorf("check that Redis takes writes: %w", err)
	}
	return nil
}
