// Package sandbox emulates DingTalk and ClassIn over HTTP: the token call, the six
// calls with which rollcall changes something, those that list DingTalk's contacts and
// the webhook of robots, with their documented checks, envelopes, rate windows and
// quotas, and with faults on demand. It keeps what the platforms would believe, and
// writes down every call and every effect, so that a test can ask afterwards what really
// happened.
//
// It must not know rollcall's clients, tasks or queues: it is written only from the
// vendors' pages, so it can detect a client that reads them wrongly.
package sandbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// The APIs, as rollcall names them everywhere. Faults, limits, calls and
// effects carry these names. Others are in the files of their endpoints.
const (
	APIToken        = "accessToken"
	APIGroupNick    = "updategroupnick"
	APIGroupUpdate  = "group/update"
	APIChangeID     = "dingTalkIds/change"
	APIClassNick    = "modifyGroupMemberNickname"
	defaultCallsLog = 10_000
)

// Config configures a Sandbox. The zero value is two platforms without any
// organisation, on the real clock.
type Config struct {
	// World is the initial state of the platforms. It is copied.
	World World
	// Limits are the rate windows and quotas. A scenario that brings its own
	// limits replaces them as a whole.
	Limits Limits
	// Scenario contains the faults that are armed from the start.
	Scenario Scenario
	// RepeatedID is the answer of the ID change if an employee requests the ID they
	// already have. The vendor does not document it. Empty: [RepeatLocked].
	RepeatedID RepeatedID

	// Clock dates everything: windows, tokens, the year lock, the calendar
	// month, outage windows. Nil: time.Now. It is called under the sandbox's lock,
	// so it must not call the sandbox.
	Clock func() time.Time
	// Sleep waits for an injected latency and returns early with an error when
	// ctx ends. Nil: a real timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Seed determines request ids, tokens, jitter and the draws of faults with a share.
	// Equal seeds and equal calls give equal answers.
	Seed uint64
	// KeepCalls bounds the log of calls in memory: the oldest are dropped first. 0:
	// 10,000. All effects are kept.
	KeepCalls int
}

// RepeatedID is the answer to an ID change that would change nothing.
type RepeatedID string

const (
	// RepeatLocked looks at the year lock first: have.been.set.
	RepeatLocked RepeatedID = "locked"
	// RepeatReserved looks at uniqueness first: incorrect.reserved.
	RepeatReserved RepeatedID = "reserved"
	// RepeatAccepted treats the repeat as a success and changes nothing.
	RepeatAccepted RepeatedID = "accepted"
)

// Sandbox is both platforms behind one http.Handler. It is safe for concurrent
// use. Close releases the calls that it keeps hanging.
type Sandbox struct {
	clock      func() time.Time
	sleep      func(context.Context, time.Duration) error
	repeatedID RepeatedID
	limits     Limits
	endpoints  []*endpoint
	admin      http.Handler
	closed     chan struct{}
	closeOnce  sync.Once

	// mu guards everything below. It is never held while a call sleeps, hangs
	// or writes to its connection.
	mu       sync.Mutex
	rand     *rand.Rand
	platform *platform
	windows  map[windowKey][]window
	address  map[string]*addressState
	faults   faultSet
	log      record
	inFlight map[string]int
}

// New returns a Sandbox. It refuses a world or limits that contradict
// themselves, and faults that could never fire.
func New(cfg Config) (*Sandbox, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleepReal
	}
	if cfg.KeepCalls == 0 {
		cfg.KeepCalls = defaultCallsLog
	}
	switch cfg.RepeatedID {
	case "":
		cfg.RepeatedID = RepeatLocked
	case RepeatLocked, RepeatReserved, RepeatAccepted:
	default:
		return nil, fmt.Errorf("repeated id %q: want locked, reserved or accepted", cfg.RepeatedID)
	}
	if cfg.KeepCalls < 0 {
		return nil, fmt.Errorf("keep calls %d: want a positive number, or 0 for %d", cfg.KeepCalls, defaultCallsLog)
	}
	limits := cfg.Limits
	if cfg.Scenario.Limits != nil {
		limits = *cfg.Scenario.Limits
	}
	limits, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	now := cfg.Clock()
	platform, err := newPlatform(cfg.World, now)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{
		clock: cfg.Clock, sleep: cfg.Sleep, repeatedID: cfg.RepeatedID,
		limits: limits, endpoints: endpoints(), closed: make(chan struct{}),
		rand:     rand.New(rand.NewPCG(cfg.Seed, cfg.Seed^0x9e3779b97f4a7c15)), //nolint:gosec // equal seeds must give equal answers
		platform: platform,
		windows:  map[windowKey][]window{}, address: map[string]*addressState{},
		log:      record{keep: cfg.KeepCalls},
		inFlight: map[string]int{},
	}
	for _, fault := range cfg.Scenario.Faults {
		if err := fault.validate(); err != nil {
			return nil, err
		}
		s.faults.arm(fault, now)
	}
	s.admin = s.adminHandler()
	return s, nil
}

// Close lets go of every call that a fault keeps hanging: their connections
// are reset. A server that waits for its handlers needs it before it shuts
// down. It may be called more than once; later calls do not hang any more.
func (s *Sandbox) Close() { s.closeOnce.Do(func() { close(s.closed) }) }

func sleepReal(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
