package redisdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Memory detects that a Redis has lost its data while the process ran: it was emptied,
// it restarted without its files, or a replica took over that had not received
// everything. Memory keeps a random value under each of its keys; a missing or
// different value shows the loss. Not for concurrent use.
type Memory struct {
	rdb  redis.UniversalClient
	keys []string
	seen map[string]string // values by key; nil before the first Look
	odd  []string          // keys of another type at the last Look
}

// NewMemory returns a Memory that keeps a value under each key. In a Cluster the keys
// select the nodes that are checked. The caller closes rdb.
func NewMemory(rdb redis.UniversalClient, keys ...string) *Memory {
	return &Memory{rdb: rdb, keys: keys}
}

// Look checks the values and reports whether one differs from the last Look. To Redis
// it is a write, so it fails if Redis rejects writes; but if the value exists, nothing
// is sent to the replicas or the disk. Cost: one round trip, or one to each node of a
// Cluster.
func (m *Memory) Look(ctx context.Context) (lost bool, err error) {
	words, fresh := make([]*redis.StringCmd, len(m.keys)), uuid.NewString()
	written := make([]*redis.BoolCmd, len(m.keys))
	_, _ = m.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range m.keys {
			written[i] = p.SetNX(ctx, key, fresh, 0)
			words[i] = p.Get(ctx, key)
		}
		return nil
	}) // each command has its own error
	var odd []string
	for i, key := range m.keys {
		err := cmp.Or(written[i].Err(), words[i].Err())
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			odd = append(odd, key)
		} else if err != nil {
			return false, fmt.Errorf("check that Redis accepts writes: %w", err)
		}
	}
	wasOdd, before := m.odd, m.seen
	m.odd = odd
	m.seen = make(map[string]string, len(m.keys))
	for i, key := range m.keys {
		if slices.Contains(odd, key) { // it says nothing
			m.seen[key] = before[key]
			continue
		}
		m.seen[key] = words[i].Val()
		lost = lost || before != nil && before[key] != m.seen[key] && !slices.Contains(wasOdd, key)
	}
	return lost, nil
}

// Damaged returns the keys that had another type at the last Look: they show nothing.
func (m *Memory) Damaged() []string { return m.odd }

// Forget makes the next Look report a loss: call it if the repair after the last one
// failed.
func (m *Memory) Forget() { m.seen = map[string]string{} }

// Writable returns nil if Redis accepts writes of key, otherwise the reason. It changes
// nothing. Cost: one round trip.
func Writable(ctx context.Context, rdb redis.UniversalClient, key string) error {
	// SET XX of a key that does not exist is checked like any write, but does nothing.
	if err := rdb.SetXX(ctx, key, "", 0).Err(); err != nil {
		return fmt.Errorf("check that Redis accepts writes: %w", err)
	}
	return nil
}
