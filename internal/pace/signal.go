package pace

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// channel is the Redis channel that notifies workers of pauses.
const channel = "rollcall:pace"

func signal(lane string, epoch int64, pause time.Duration) string {
	return lane + " " + strconv.FormatInt(epoch, 10) + " " + strconv.FormatInt(pause.Microseconds(), 10)
}

// Listen voids the slots of this process when another worker pauses their lane, until
// ctx ends. A lane learns of a pause that Listen missed at its next booking.
func Listen(ctx context.Context, rdb redis.UniversalClient, lanes []*Lane) {
	byName := make(map[string]*Lane, len(lanes))
	for _, l := range lanes {
		byName[l.cfg.Name] = l
	}
	subscription := rdb.Subscribe(ctx, channel)
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-messages:
			if !open {
				return
			}
			name, epoch, until, ok := readSignal(m.Payload)
			if ok && byName[name] != nil {
				byName[name].void(epoch, until)
			}
			if name, ok := strings.CutPrefix(m.Payload, resumed+" "); ok && byName[name] != nil {
				byName[name].resume(time.Now())
			}
		}
	}
}

func readSignal(text string) (lane string, epoch int64, until time.Time, ok bool) {
	parts := strings.Fields(text)
	if len(parts) != 3 {
		return "", 0, time.Time{}, false
	}
	epoch, err1 := strconv.ParseInt(parts[1], 10, 64)
	pause, err2 := strconv.ParseInt(parts[2], 10, 64)
	return parts[0], epoch, time.Now().Add(time.Duration(pause) * time.Microsecond), err1 == nil && err2 == nil
}
