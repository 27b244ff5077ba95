package schedule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// errLost is why work ended whose lease another worker may hold now.
var errLost = errors.New("the lease was lost: it was not renewed in time, or another worker took it")

// lease is a key in Redis that one of many workers holds at a time. It expires by
// Redis' clock, so the workers' clocks do not matter.
type lease struct {
	rdb   redis.UniversalClient
	key   string
	token string // identifies the holder
	life  time.Duration
}

// Taking and renewing are the same: a worker that finds no key may take it, even if it
// held it before. A key without an end, or with a later one than a lease has, is not one
// of ours: it ends as a lease does. Redis below 7 cannot do that, and only a person can.
var takeLease = redis.NewScript(`
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then
	redis.pcall("PEXPIRE", KEYS[1], ARGV[2], "LT")
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

var leaveLease = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 1`)

// take takes or renews the lease; false if another worker holds it.
func (l lease) take(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, l.life/3)
	defer cancel()
	taken, err := takeLease.Run(ctx, l.rdb, []string{l.key}, l.token, l.life.Milliseconds()).Int()
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		err = fmt.Errorf("damaged key in Redis, %q: is not a string: see rollcall repair", l.key)
	}
	return taken == 1, err
}

// keep renews a lease that was taken no later than taken, until ctx ends or leave is
// called. The context that it returns ends then, too. It ends with errLost before
// another worker can hold the lease.
func (l lease) keep(ctx context.Context, taken time.Time) (held context.Context, leave func()) {
	held, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if value := recover(); value != nil { // another worker takes the lease when it expires
				end(fmt.Errorf("rollcall has a defect, please report it: panic in the renewal of a lease: %v", value))
			}
		}()
		// Two thirds of the life: the rest is for running work to notice.
		lost := time.AfterFunc(l.life*2/3-time.Since(taken), func() { end(errLost) })
		defer lost.Stop()
		ticker := time.NewTicker(l.life / 3)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			asked := time.Now()
			ours, err := l.take(held)
			switch {
			case err == nil && !ours:
				end(errLost)
			case err == nil:
				lost.Reset(l.life*2/3 - time.Since(asked))
			}
		}
	}()
	return held, func() {
		end(context.Canceled)
		<-ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(l.life/3, time.Second))
		defer cancel()
		// A lease that is not released expires.
		_ = leaveLease.Run(ctx, l.rdb, []string{l.key}, l.token).Err()
	}
}
