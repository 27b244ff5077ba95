package lane

import (
	"context"
	"time"
)

// Room is how many tasks may wait for their slot, and how many the lane may be
// at altogether.
func (l *Lane) Room() (waiting, together int) { return l.room() }

// LookForVanished is the sweep's look for tasks that asynq has lost, at times
// that the test says.
func (s *Set) LookForVanished() func(ctx context.Context, now time.Time) {
	return s.sweeper().lookForVanished
}
