package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sender is a tenant at an API: the values that it sent are sent again by it alone.
type Sender struct{ Organisation, API, Tenant string }

func (s Sender) target(key string) Target {
	return Target{Organisation: s.Organisation, API: s.API, Key: key}
}

// LateTargets are targets whose applied values an earlier send may have overwritten, and
// those whose values are to be confirmed.
type LateTargets struct {
	Waiting int64    // how many there are that may have been overwritten, due or not
	Due     []Target // those at which nothing can be carried out late any more, oldest first
	Refresh []Target // those to be confirmed that are due, in their order
	Err     error    // of Redis
}

// LateTargets returns for each sender the targets that a Delivery with Resend, or with
// Refresh, may be for. now is compared with Redis' clock once more by Begin. One round trip.
func (l *Ledger) LateTargets(ctx context.Context, now time.Time, most int64, senders ...Sender) []LateTargets {
	found := make([]LateTargets, len(senders))
	count, due := make([]*redis.IntCmd, len(senders)), make([]*redis.StringSliceCmd, len(senders))
	far, refresh := make([]*redis.ZSliceCmd, len(senders)), make([]*redis.StringSliceCmd, len(senders))
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range senders {
			key := s.target("").late(s.Tenant)
			count[i] = p.ZCard(ctx, key)
			due[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, ByScore: true, Start: "-inf", Stop: now.Unix(), Count: most})
			refresh[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.target("").refresh(s.Tenant), ByScore: true, Start: "-inf", Stop: now.Unix(), Count: most})
			far[i] = p.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: key, ByScore: true, Start: "(" + text(now.Add(2*ahead), time.Second), Stop: "+inf", Count: most,
			})
		}
		return nil
	}) // each command has its own error
	for i, s := range senders {
		l.bringNear(ctx, s.target("").late(s.Tenant), far[i].Val(), now)
		found[i].Waiting = count[i].Val()
		for _, key := range due[i].Val() {
			found[i].Due = append(found[i].Due, s.target(key))
		}
		for _, key := range refresh[i].Val() { // none if its key is damaged, which the check of the keys reports
			found[i].Refresh = append(found[i].Refresh, s.target(key))
		}
		if err := due[i].Err(); err != nil {
			found[i].Err = fmt.Errorf("ledger: read the targets of %s %s that may be overwritten: %w", s.Tenant, s.API, err)
		}
	}
	return found
}

// bringNear makes the resends due soon whose time is further ahead than it can have been
// written.
func (l *Ledger) bringNear(ctx context.Context, key string, far []redis.Z, now time.Time) {
	for _, z := range far {
		d := farScore(key, z, text(now.Add(lateLanding), time.Second))
		l.report(d)
		_, _ = l.Discard(ctx, d) // tried again at the next look
	}
}

// ResendAt returns when a tenant sends the applied values of a target once more, at the
// earliest; zero: it does not. One round trip.
func (l *Ledger) ResendAt(ctx context.Context, target Target, tenant string) (time.Time, error) {
	scores, err := l.rdb.ZMScore(ctx, target.late(tenant), target.Key).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ledger: read when a target is sent again: %w", err)
	}
	if scores[0] == 0 {
		return time.Time{}, nil
	}
	return time.Unix(int64(scores[0]), 0), nil
}

// GiveUpResend ends the resends of a target as its record was read: the record still
// shows that it may have been overwritten, and the next change is sent. A target that was
// settled since, while an earlier send could still be carried out, is sent again later.
// One round trip.
func (l *Ledger) GiveUpResend(ctx context.Context, record Record, tenant string) error {
	t := record.Target
	args := []any{t.Key}
	for name, field := range record.Fields {
		if !field.Late.IsZero() {
			args = append(args, name, field.Late.Unix())
		}
	}
	if err := giveUp.Run(ctx, l.rdb, []string{t.redisKey(), t.late(tenant)}, args...).Err(); err != nil {
		return fmt.Errorf("ledger: end the resends of a target: %w", l.explain(ctx, t, err))
	}
	return nil
}
