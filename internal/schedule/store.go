package schedule

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
)

const (
	// ticksRecorded is how many ticks of an entry are kept with their results.
	ticksRecorded = 100
	// recordsKept is how long they are kept after the last one.
	recordsKept = 90 * 24 * time.Hour
	// longestResult bounds a result or an error in a record, in bytes.
	longestResult = 500
)

var (
	//go:embed look.lua
	lookLua string
	//go:embed add.lua
	addLua string
	//go:embed begin.lua
	beginLua string
	//go:embed move.lua
	moveLua string
	//go:embed pause.lua
	pauseLua string
	//go:embed list.lua
	listLua string

	lookScript  = redis.NewScript(lookLua)
	addScript   = redis.NewScript(addLua)
	beginScript = redis.NewScript(beginLua)
	moveScript  = redis.NewScript(moveLua)
	pauseScript = redis.NewScript(pauseLua)
	listScript  = redis.NewScript(listLua)
)

const (
	leaderKey  = keyPrefix + "leader"
	entriesKey = keyPrefix + "entries" // what list shows, by entry
)

func stateKey(name string) string   { return keyPrefix + "state:" + name }
func ticksKey(name string) string   { return keyPrefix + "ticks:" + name }
func historyKey(name string) string { return keyPrefix + "history:" + name }
func openKey(name string) string    { return keyPrefix + "open:" + name }
func runningKey(name string) string { return keyPrefix + "running:" + name }

// Store is the record of entries and ticks in Redis. Its times are those of Redis' clock.
// All its keys are on one node of a Cluster. It is safe for concurrent use.
type Store struct {
	rdb redis.UniversalClient
}

// NewStore returns the record in a Redis.
func NewStore(rdb redis.UniversalClient) *Store { return &Store{rdb} }

// look is what is recorded about an entry. Its zero value is that of an unknown entry.
type look struct {
	until  string // decided up to then, Unix s; empty: never
	times  string // of the entry when it was decided
	paused bool
	last   time.Time // its last tick that was not one of a person; zero: none
	open   []openTick

	damaged string // a key that has another type; empty: none
}

// openTick is a tick that has not ended.
type openTick struct{ id, state string }

// look reads Redis' clock and what is recorded about each name. Cost: one round trip.
func (s *Store) look(ctx context.Context, names []string) (time.Time, map[string]look, error) {
	keys := make([]string, 0, 3*len(names))
	for _, name := range names {
		keys = append(keys, stateKey(name), ticksKey(name), openKey(name))
	}
	answer, err := lookScript.Run(ctx, s.rdb, keys).Slice()
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("read the state of the schedules: %w", err)
	}
	now := time.Unix(number(answer[0]), number(answer[1])*1000).UTC()
	all := make(map[string]look, len(names))
	for i, name := range names {
		part, _ := answer[2+i].([]any)
		texts := make([]string, len(part))
		for k := range part {
			texts[k], _ = part[k].(string)
		}
		if texts[0] == "damaged" {
			all[name] = look{damaged: texts[1]}
			continue
		}
		l := look{until: texts[0], times: texts[1], paused: texts[2] != "", last: unix(texts[3])}
		for pair := range slices.Chunk(texts[4:], 2) {
			l.open = append(l.open, openTick{pair[0], pair[1]})
		}
		all[name] = l
	}
	return now, all, nil
}

func number(v any) int64 {
	text, _ := v.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func unix(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	return time.Unix(number(text), 0).UTC()
}

// addition is a decision about an entry.
type addition struct {
	name   string
	leader string // token; empty: a person
	before string // look.until
	until  time.Time
	times  string
	tick   *Tick // nil: none
	state  State // Due or Missed
	alone  bool  // no tick while another is open
	missed int   // ticks before it that were missed
	by     string
	reason string
}

// add records a decision, unless another worker leads or has decided. It returns what the
// script returns.
func (s *Store) add(ctx context.Context, a addition) (outcome, other string, err error) {
	id, at, alone := "", int64(0), 0
	if a.tick != nil {
		id, at = a.tick.ID(), a.tick.At.Unix()
	}
	if a.alone {
		alone = 1
	}
	answer, err := addScript.Run(ctx, s.rdb,
		[]string{leaderKey, stateKey(a.name), ticksKey(a.name), historyKey(a.name), openKey(a.name)},
		a.leader, a.before, a.until.Unix(), a.times, id, at, string(a.state), alone, a.missed, a.by, a.reason,
		ticksRecorded, recordsKept.Milliseconds()).StringSlice()
	if err != nil {
		return "", "", fmt.Errorf("record a tick of schedule %s: %w", a.name, err)
	}
	return answer[0], answer[1], nil
}

// enqueue adds a tick that is due to its queue. It may be repeated: asynq accepts an id
// once.
func (s *Store) enqueue(ctx context.Context, t Tick) (added bool, err error) {
	// The client owns no connection. Enqueueing lists the queue again in case a person
	// deleted it.
	client := asynq.NewClientFromRedisClient(backlog.Tolerant(s.rdb))
	_, err = client.EnqueueContext(ctx, asynq.NewTask(Type, encodePayload(t)), append(options(), asynq.TaskID(t.ID()))...)
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return false, fmt.Errorf("enqueue tick %s: %w", t.ID(), err)
	}
	moveErr := s.move(ctx, move{schedule: t.Schedule, id: t.ID(), from: Due, to: Waiting})
	return err == nil, moveErr
}

// begin records the beginning of an attempt and takes the lease of its entry, unless the
// tick may not run. It returns what the script returns.
func (s *Store) begin(ctx context.Context, t Tick, window time.Duration, worker string, l lease) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.life/3)
	defer cancel()
	bound := ""
	if !t.Manual {
		bound = strconv.FormatInt(int64(window/time.Second), 10)
	}
	answer, err := beginScript.Run(ctx, s.rdb,
		[]string{stateKey(t.Schedule), ticksKey(t.Schedule), historyKey(t.Schedule), openKey(t.Schedule), l.key},
		t.ID(), t.At.Unix(), bound, worker, recordsKept.Milliseconds(), l.token, l.life.Milliseconds()).StringSlice()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		err = fmt.Errorf("a key of %s… is not of its type: see rollcall repair: %w", keyPrefix, err)
	}
	if err != nil {
		return nil, fmt.Errorf("schedule %s: record the beginning of a tick: %w", t.Schedule, err)
	}
	return answer, nil
}

// move is a change of a tick's state.
type move struct {
	schedule string
	id       string // of the tick
	from, to State
	attempt  string // number of the last attempt, from 1; empty: any
	result   string
}

// move changes the state of a tick, unless it has another state than from, or another
// attempt began.
func (s *Store) move(ctx context.Context, m move) error {
	ended := 0
	if m.to.Ended() {
		ended = 1
	}
	result := m.result
	if len(result) > longestResult {
		result = strings.ToValidUTF8(result[:longestResult], "") + " …"
	}
	err := moveScript.Run(ctx, s.rdb, []string{ticksKey(m.schedule), openKey(m.schedule)},
		m.id, string(m.from), m.attempt, string(m.to), result, ended).Err()
	if err != nil {
		return fmt.Errorf("record the state of tick %s: %w", m.id, err)
	}
	return nil
}

// settle closes open ticks whose task in asynq has ended without a record: a person
// archived or deleted it, or the worker died after the task had ended. Cost: two round
// trips for any number, and one for each that is closed.
func (s *Store) settle(ctx context.Context, name string, open []openTick) error {
	tasks := make([]backlog.Task, 0, len(open))
	open = slices.DeleteFunc(slices.Clone(open), func(t openTick) bool { return State(t.state) == Due })
	for _, t := range open {
		tasks = append(tasks, backlog.Task{Queue: Queue, ID: t.id})
	}
	if len(tasks) == 0 {
		return nil
	}
	states, _, err := backlog.States(ctx, s.rdb, tasks)
	if err != nil {
		return err
	}
	for i, t := range open {
		m := move{schedule: name, id: t.id, from: State(t.state)}
		switch states[i] {
		case "":
			m.to, m.result = Deleted, "its task was deleted from queue "+Queue
		case "archived":
			m.to = Failed
		case "completed":
			m.to = Done
		default:
			continue
		}
		if err := s.move(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
