package night

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/run"
)

// againAfter is after how many days a value is sent again that the platform refused: what
// it refused may have become right, such as a user who was not in the chat.
const againAfter = 7 * 24 * time.Hour

// marks are what is remembered of single members and targets of a schedule.
type marks struct {
	absent  map[string]absent
	carried map[string]time.Time
	refused map[string]refused
	now     time.Time // tick
}

// absent is a member who is missing.
type absent struct {
	// Night is the number of the first complete night without the member.
	Night int       `json:"n"`
	Since time.Time `json:"t"` // tick
	// Removed says that a night has removed the member.
	Removed bool `json:"x,omitzero"`
}

// refused is a value that the platform refused as wrong.
type refused struct {
	Value string    `json:"v"` // hash
	Cause string    `json:"c"`
	At    time.Time `json:"t"`
}

// marks reads what is remembered. One round trip.
func (s *Service) marks(ctx context.Context, schedule string) (*marks, error) {
	names := []string{keyAbsent, keyCarried, keyRefused}
	read := make([]*redis.MapStringStringCmd, len(names))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			read[i] = p.HGetAll(ctx, key(schedule, name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the marks of schedule %s: %w", schedule, err)
	}
	m := &marks{now: s.now()}
	faults := []error{decode(read[0], &m.absent), decode(read[1], &m.carried), decode(read[2], &m.refused)}
	for i, err := range faults {
		if err != nil { // without the field, which names a person
			return nil, unreadable(schedule, names[i], err)
		}
	}
	return m, nil
}

// unreadable is the error of a key that another program wrote.
func unreadable(schedule, name string, err error) error {
	return fmt.Errorf("the key %s cannot be read: delete it, then schedule %s begins without it: %w", key(schedule, name), schedule, err)
}

func decode[T any](read *redis.MapStringStringCmd, to *map[string]T) error {
	*to = make(map[string]T, len(read.Val()))
	for field, text := range read.Val() {
		var v T
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return err
		}
		(*to)[field] = v
	}
	return nil
}

// refusedBefore returns why the platform refused the value of a row lately, or "".
func (m *marks) refusedBefore(r *run.Compared) string {
	mark, is := m.refused[nameOf(r.Target)]
	if !is || mark.Value != valueOf(r.Fields) || m.now.Sub(mark.At) >= againAfter {
		return ""
	}
	return mark.Cause
}

// permanent reports whether a result says that the same value would be refused again.
func permanent(r run.Result) bool { return outcome.Class(r.Class) == outcome.Rejected }

// nameOf names a target in a hash.
func nameOf(t ledger.Target) string { return t.Organisation + "/" + t.API + "/" + t.Key }

// valueOf is a hash of the values of a row: they are personal.
func valueOf(fields []ledger.Field) string {
	sum := sha256.New()
	for _, f := range fields {
		_, _ = fmt.Fprintf(sum, "%s\x00%s\x00", f.Name, f.Value)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// chatOf returns the chat of a member, with its tenant. A member is named in hashes and sets
// by tenant, chat and user, with tabs between them.
func chatOf(member string) string { return member[:strings.LastIndexByte(member, '\t')] }

// split returns the parts of a member.
func split(member string) (tenant, chat, user string) {
	parts := strings.SplitN(member, "\t", 3)
	return parts[0], parts[1], parts[2]
}

// changes are what is written into a hash of marks.
type changes struct {
	set    map[string]any
	remove []string
}

// mark writes changes of a hash. One round trip for each 1,000.
func (s *Service) mark(ctx context.Context, schedule, name string, c changes) error {
	k := key(schedule, name)
	var pairs []any
	for field, v := range c.set {
		text, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("write the marks of schedule %s: %w", schedule, err)
		}
		pairs = append(pairs, field, text)
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for len(pairs) > 0 {
			n := min(len(pairs), 2000)
			p.HSet(ctx, k, pairs[:n]...)
			pairs = pairs[n:]
		}
		for rest := c.remove; len(rest) > 0; {
			n := min(len(rest), 1000)
			p.HDel(ctx, k, rest[:n]...)
			rest = rest[n:]
		}
		p.PExpire(ctx, k, kept)
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the marks of schedule %s: %w", schedule, err)
	}
	return nil
}
