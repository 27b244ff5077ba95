package handler_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
)

// attempt is one attempt at a task, and its injected faults. It has its own goroutine,
// but never runs at the same time as the driver: the driver waits until it ends or
// pauses.
type attempt struct {
	task   *stored
	giveUp context.CancelFunc
	plan   plan

	commands, exchanges, slots int

	crashed  atomic.Bool
	yes      bool      // the platform's last answer was a success
	answer   string    // what it said of an ID, in one word; "": that is taken in
	position string    // where it paused last
	slotAt   time.Time // time of its last slot
	sentAt   time.Time // time of its last request, by world.latest

	overtaken bool             // another attempt has sent to its target since it passed the gate
	finished  bool             // the task was done before, with a known outcome
	latest    map[string]int64 // latest changes that the ledger knew of, by field
	world     *world
	stands    chan string // reports where it pauses
	goOn      chan string // receives how to continue: goOn, goCrash, goTimeout
	ended     chan ended  // has room for one
}

type ended struct {
	report  handler.Report
	err     error
	crashed bool
}

// plan is the faults of an attempt: at its n-th command to Redis, at its n-th request
// to the platform, at its first slot. Zero: none.
type plan struct {
	command, exchange     int
	atCommand, atExchange fault
	atSlot                fault
}

// fault is one injected fault.
type fault string

const (
	fine       fault = "fine"
	crash      fault = "crash"       // crash before the command is sent
	crashAfter fault = "crash after" // crash after Redis executed the command
	lost       fault = "lost reply"  // Redis executed the command, and the caller gets an error
	twice      fault = "sent twice"  // the first reply is lost, and go-redis sends the command again
	pause      fault = "pause"
	pauseAfter fault = "pause after" // the platform has acted but not answered
	refuse     fault = "refused"     // by the platform, or by the lane at the slot
	passed     fault = "slot passed"
	slow       fault = "slot comes late"
	busy       fault = "busy"
	busyDone   fault = "busy, and done"
	outage     fault = "outage"
	fast       fault = "too fast"
	odd        fault = "odd answer, and done"
	reset      fault = "reset, and done"
	resetLate  fault = "reset, and late"
	timeout    fault = "timeout, and done"
	late       fault = "timeout, and late" // the request lands in a later step
)

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// crash ends the attempt's goroutine like the death of its process: from then on it has
// no effect on anything.
func (a *attempt) crash() {
	a.crashed.Store(true)
	runtime.Goexit()
}

const beforeExchange = "in an exchange, before the platform acts"

// stand pauses the attempt until the driver lets it continue, and returns how.
func (a *attempt) stand(place string) string {
	a.stands <- place
	return <-a.goOn
}

// hook sits between the ledger and Redis.
type hook struct{}

func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return attemptOf(ctx).send(func() error { return next(ctx, cmd) })
	}
}

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return attemptOf(ctx).send(func() error { return next(ctx, cmds) })
	}
}

func (a *attempt) send(do func() error) error {
	if a == nil { // a command of the driver
		return do()
	}
	if a.crashed.Load() {
		runtime.Goexit()
	}
	a.commands++
	if a.commands != a.plan.command {
		return do()
	}
	switch f := a.plan.atCommand; {
	case f == crash:
		a.crash()
	case f == crashAfter:
		_ = do()
		a.crash()
	case f == pause:
		if a.stand("before a command") == goCrash {
			a.crash()
		}
	case f == twice, f == lost && a.yes:
		// The effect at the platform is recorded before a reply arrives.
		_ = do()
	case f == lost:
		_ = do()
		return io.ErrUnexpectedEOF
	}
	return do()
}

// modelPacer is the lane of all attempts.
type modelPacer struct{}

func (modelPacer) Slot(ctx context.Context) error {
	a := attemptOf(ctx)
	if a.crashed.Load() {
		runtime.Goexit()
	}
	a.slots++
	defer func() { a.slotAt = a.world.time() }()
	if a.slots > 1 {
		return ctx.Err()
	}
	switch a.plan.atSlot {
	case crash:
		a.crash()
	case pause:
		if a.stand("at the slot") == goCrash {
			a.crash()
		}
	case slow:
		a.world.clock(time.Second)
	case refuse:
		return errHeld
	}
	return ctx.Err()
}

var errHeld = errors.New("the lane is on hold")

func (modelPacer) Leave(ctx context.Context) (bool, error) {
	a := attemptOf(ctx)
	if a.slots == 1 {
		switch a.plan.atSlot {
		case crashAfter:
			a.crash()
		case passed:
			return false, nil
		}
	}
	return a.world.time().Sub(a.slotAt) < 10*time.Millisecond, nil // a slot in the past is not used
}

func (modelPacer) Unused(context.Context) {}
