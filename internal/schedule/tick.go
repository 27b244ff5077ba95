package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hibiken/asynq"
)

const (
	// payloadVersion is the newest version of a tick's payload that is read, and
	// the one that is written.
	payloadVersion = 1
	maxPayload     = 4 << 10
	// tickKept is how long a tick that was carried out is shown, with its result,
	// and its id stays taken: far longer than two leaders can disagree.
	tickKept = 7 * 24 * time.Hour
	// tickTimeout is the last resort against a tick that hangs. It is above the
	// bound that a tick sets itself.
	tickTimeout = tickBound + 15*time.Minute
	// maxRetry is out of reach: asynq archives on the last attempt whatever the
	// error, so attempts are counted here.
	maxRetry = 1 << 20
)

// payload is a tick's as it is stored. Which tick it is stands in the task's id:
// asynq's scheduler fixes the payload of an entry once and for all.
type payload struct {
	Version  int    `json:"v"`
	Schedule string `json:"schedule"`
}

func encodePayload(name string) []byte {
	return fmt.Appendf(nil, `{"v":%d,"schedule":%q}`, payloadVersion, name) // a name needs no escapes
}

// Tick is one time of an entry.
type Tick struct {
	Schedule string
	At       time.Time // whole seconds
}

// ID is the id of the tick's asynq task, which two leaders give it alike.
func (t Tick) ID() string { return t.Schedule + "@" + t.At.UTC().Format(time.RFC3339) }

// run names what the tick enqueues, alike for each attempt at it.
func (t Tick) run() string {
	const most = 64 - len(".20060102T150405Z") // of a run's name
	return t.Schedule[:min(len(t.Schedule), most)] + t.At.UTC().Format(".20060102T150405Z")
}

// PayloadError tells that a task in the queue of ticks is none.
type PayloadError struct{ What string }

// Error says what is wrong with it, and what to do.
func (e *PayloadError) Error() string {
	return "not a tick: " + e.What + ": find out who writes to queue " + Queue + " besides rollcall, and discard it"
}

// NewerVersionError tells that a tick was written by a newer worker.
type NewerVersionError struct{ Version int64 }

// Error says which version is read, and what to do.
func (e *NewerVersionError) Error() string {
	return fmt.Sprintf("the tick has version %d, this build reads up to %d: upgrade the other workers too", e.Version, payloadVersion)
}

// DecodeTick reads a tick from the id and the payload of its task. Its errors are
// a [*PayloadError] and a [*NewerVersionError].
func DecodeTick(id string, data []byte) (Tick, error) {
	if len(data) > maxPayload {
		return Tick{}, &PayloadError{fmt.Sprintf("its payload has %d bytes, at most %d", len(data), maxPayload)}
	}
	var version struct {
		Version int64 `json:"v"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Tick{}, &PayloadError{"its payload is not a JSON object with a version"}
	}
	if version.Version > payloadVersion {
		return Tick{}, &NewerVersionError{version.Version}
	}
	var p payload
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil || p.Version < 1 || !namePattern.MatchString(p.Schedule) {
		return Tick{}, &PayloadError{`its payload is not of the form {"v":1,"schedule":"name"}`}
	}
	name, text, _ := strings.Cut(id, "@")
	at, err := time.Parse(time.RFC3339, text)
	t := Tick{Schedule: name, At: at}
	if err != nil || name != p.Schedule || t.ID() != id {
		return Tick{}, &PayloadError{fmt.Sprintf("its id is %.120q, not %s@ and a time in UTC", id, p.Schedule)}
	}
	return t, nil
}

// options are what every tick is enqueued with, but for its id.
func options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(Queue), asynq.MaxRetry(maxRetry), asynq.Timeout(tickTimeout), asynq.Retention(tickKept),
	}
}

// bells are the options of asynq's scheduler's entries, by schedule. Before each
// ring asynq shows them to us and then enqueues with them, so that the id of the
// tick can be put in. Its heartbeat reads them too, at any time, from another
// goroutine, in their order and by their String method alone: hence the two
// options around the id, which asynq does not know and passes over. The first
// locks when it is read, the second unlocks.
type bells struct {
	mu      sync.Mutex
	options map[string][]asynq.Option
}

// idAt is where among the options the id stands.
const idAt = 1

func (b *bells) hang(name string) []asynq.Option {
	all := append([]asynq.Option{fence{b.mu.Lock}, asynq.TaskID("next"), fence{b.mu.Unlock}}, options()...)
	b.options[name] = all
	return all
}

// set puts the id of a tick in.
func (b *bells) set(t Tick) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.options[t.Schedule][idAt] = asynq.TaskID(t.ID())
}

// rung is called when asynq has enqueued: it orders asynq's reading of the
// options before whatever is put into them next.
func (b *bells) rung() {
	b.mu.Lock()
	defer b.mu.Unlock()
}

// fence is an option that asynq does not know.
type fence struct{ pass func() }

// String implements asynq.Option. asynq's inspector reads it back, and wants
// parentheses.
func (f fence) String() string {
	f.pass()
	return "Fence()"
}

// Type implements asynq.Option with a type that asynq does not have.
func (fence) Type() asynq.OptionType { return -1 }

// Value implements asynq.Option.
func (fence) Value() any { return nil }
