// Package lane runs the lanes: one asynq server for each tenant and API, so that a
// platform that hangs or refuses delays no other lane's tasks.
//
// gate.go decides when a lane takes a task, hold.go which holds stop it, and verdict.go
// is the only place that turns an error into a task's outcome. This package must not
// know the client of any platform, nor how a task is carried out.
package lane

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
)

// Lane is one tenant at one API.
type Lane struct {
	Config

	set     *Set
	pacer   *pace.Lane
	handle  handler.Func
	server  *asynq.Server
	log     *slog.Logger
	gate    *gate
	breaker breaker
	damages damages

	claim          atomic.Pointer[claim] // claim of a probe by a task of this lane; nil: none
	pageAgain      atomic.Bool           // a task has received several HTML pages
	rejoining      atomic.Bool
	resending      atomic.Bool // values that may have been overwritten are being sent again
	hasDeadLetters atomic.Bool // whether the lane may have dead letters
}

// Set is all lanes of a process.
type Set struct {
	rdb    redis.UniversalClient
	shared *redisdb.Autopipeline
	ledger *ledger.Ledger
	holds  *hold.Store
	log    *slog.Logger
	lanes  []*Lane
	name   string // this worker's name, in holds
	// quoting is held while a quota changes, and while the quotas are compared with those in
	// Redis: a poll between the change and its publication would take back the change.
	quoting sync.Mutex
	quotas  map[string]pace.Quota // by organisation
	// servers are the run ids of the Redis servers that accepted writes. Only the
	// poller uses servers and memory.
	servers map[string]bool
	memory  *redisdb.Memory
	// unrestored are the holds as they were read before the first memory check that
	// failed. Only the poller uses it.
	unrestored []hold.Hold
	redis      redisState
	faults     logging.Conditions // conditions of repeated steps
	look       chan struct{}
	back       chan struct{}
	// observer and runs may be nil.
	observer Observer
	runs     Runs

	stopping context.Context //nolint:containedctx // ends with the process, not with a request
	stop     context.CancelCauseFunc
	watching sync.WaitGroup
}

// Lanes returns the lanes in the order in which they were added.
func (s *Set) Lanes() []*Lane { return s.lanes }

// room returns how many tasks of a lane may wait for their slot in this process, and
// how many it may hold in total. The number of running calls follows from rate and
// latency, because each call needs a slot: only the waiting tasks need a bound. Both
// are computed at each dequeue, so that they follow a reload.
func (l *Lane) room() (waiting, together int) {
	rate := l.pacer.Rate()
	waiting = min(int(math.Ceil(rate/4))+2, maxTasks)
	return waiting, min(int(math.Ceil(rate*4))+waiting, maxTasks)
}
