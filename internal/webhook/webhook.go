// Package webhook calls URLs when something needs attention: signed as Standard Webhooks
// says, repeated for a day, and without delaying anything else.
//
// It must not know runs, lanes or where endpoints are declared.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	// Queue is the asynq queue of calls: one task for each event and endpoint. No lane has
	// a queue with this name.
	Queue = "rollcall.webhooks"
	// Type is the asynq task type of a call.
	Type = "webhook:call"

	// retryFor is how long a call is repeated.
	retryFor = 24 * time.Hour
	// remembered is how long a delivered call keeps its task, so that another worker does
	// not store it again.
	remembered = time.Hour
	// maxRetry is never reached: retryFor ends a call.
	maxRetry = 1 << 20
	// taskFor is the last resort against an attempt that hangs.
	taskFor = time.Minute
)

// Event is what endpoints are called about. It must hold no name of a person.
type Event struct {
	// ID identifies the event: the same for each attempt, and for each worker that finds
	// it.
	ID   string
	Type string // such as "run.ended"
	Time time.Time
	// Tenants are those that the event concerns. nil: all.
	Tenants []string
	Data    any // becomes JSON
}

// body returns what is sent: the form that Standard Webhooks recommends.
func (e Event) body() ([]byte, error) {
	return json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{e.Type, e.Time.UTC(), e.Data}, json.Deterministic(true))
}

// Result is how a call ended.
type Result string

// The results.
const (
	Delivered Result = "delivered"
	Failed    Result = "failed"   // it will be repeated
	GivenUp   Result = "given_up" // after a day, or the endpoint wants no more
)

// Results lists every Result.
func Results() []Result { return []Result{Delivered, Failed, GivenUp} }

// Observer counts calls.
type Observer interface {
	WebhookCalled(name string, result Result)
}

// Config is what a Service needs.
type Config struct {
	// Redis keeps the calls. Required; the caller closes it.
	Redis redis.UniversalClient
	// Endpoints are called. Set replaces them.
	Endpoints []Endpoint
	// Again returns the event with an id as it is now, so that calls whose record in Redis
	// is damaged are made again; false: it is not known any more. nil: none is known.
	Again func(ctx context.Context, id string) (Event, bool, error)
	// GivenUp records a call that was given up, within two seconds. nil: it is only logged.
	GivenUp func(ctx context.Context, endpoint, what string) error
	// Observer counts calls. nil: they are not counted.
	Observer Observer
	// Log receives failed calls, without URLs and answers. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// Service stores and makes calls. It is safe for concurrent use.
type Service struct {
	rdb      redis.UniversalClient
	asynq    *asynq.Client
	again    func(ctx context.Context, id string) (Event, bool, error)
	givenUp  func(ctx context.Context, endpoint, what string) error
	observer Observer
	log      *slog.Logger
	now      func() time.Time

	mu        sync.Mutex
	endpoints []Endpoint
	traffic   map[string]traffic // by endpoint
	changed   chan struct{}      // holds an element after Set
}

// New returns a Service. It does not connect yet.
func New(cfg Config) *Service {
	s := &Service{
		rdb: cfg.Redis, asynq: asynq.NewClientFromRedisClient(cfg.Redis), again: cfg.Again, givenUp: cfg.GivenUp, observer: cfg.Observer, log: cfg.Log, now: cfg.Now,
		endpoints: cfg.Endpoints, traffic: map[string]traffic{}, changed: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Set replaces the endpoints, for later events and attempts.
func (s *Service) Set(endpoints []Endpoint) {
	s.mu.Lock()
	s.endpoints = endpoints
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Idle reports whether there is no endpoint.
func (s *Service) Idle() bool { return len(s.all()) == 0 }

func (s *Service) all() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endpoints)
}

func (s *Service) endpoint(name string) (Endpoint, bool) {
	all := s.all()
	i := slices.IndexFunc(all, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return Endpoint{}, false
	}
	return all[i], true
}

// call is a call as it is stored: the payload of its task.
type call struct {
	Endpoint string         `json:"endpoint"`
	ID       string         `json:"id"`
	Until    time.Time      `json:"until"` // it is not repeated later
	Body     jsontext.Value `json:"body"`
}

// Announce stores a call for each endpoint that wants the event. It may be repeated, by
// any worker, within an hour after the event's calls ended: none is made twice. Cost: one
// round trip for each endpoint.
func (s *Service) Announce(ctx context.Context, e Event) error {
	body, err := e.body()
	if err != nil {
		return fmt.Errorf("event %s has no JSON: %w", e.ID, err)
	}
	for _, to := range s.all() {
		if !to.wants(e) {
			continue
		}
		if err := s.store(ctx, callID{event: e.ID, endpoint: to.Name}, body); err != nil {
			return err
		}
	}
	return nil
}

// store stores a call, unless there is one with the same id.
func (s *Service) store(ctx context.Context, id callID, body []byte) error {
	payload, err := json.Marshal(call{Endpoint: id.endpoint, ID: id.event, Until: s.now().Add(retryFor).UTC(), Body: body})
	if err != nil {
		return fmt.Errorf("event %s has no JSON: %w", id.event, err)
	}
	_, err = s.asynq.EnqueueContext(ctx, asynq.NewTask(Type, payload), asynq.Queue(Queue), asynq.TaskID(id.String()),
		asynq.MaxRetry(maxRetry), asynq.Timeout(taskFor), asynq.Retention(remembered))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("store the call of webhook %s about %s: %w", id.endpoint, id.event, err)
	}
	return nil
}
