package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hibiken/asynq"
)

const (
	// payloadVersion is the latest version of a tick's payload that can be read. It is
	// written for ticks of people alone, which workers of version 1 do not know.
	payloadVersion = 2
	maxPayload     = 4 << 10
	// tickKept is how long a tick that was carried out is shown with its result, and
	// its id stays taken: far longer than two leaders can disagree.
	tickKept = 7 * 24 * time.Hour
	// tickTimeout is the last resort against a tick that hangs. It is above the bound
	// of any entry.
	tickTimeout = longestWithin + 15*time.Minute
	// maxRetry is never reached: asynq archives on its last attempt regardless of the
	// error, so this package counts attempts itself.
	maxRetry = 1 << 20
)

// payload is the stored payload of a tick, the same for all ticks of an entry: the
// task's id names the tick.
type payload struct {
	Version  int    `json:"v"`
	Schedule string `json:"schedule"`
}

func encodePayload(t Tick) []byte {
	version := 1
	if t.Manual {
		version = 2
	}
	return fmt.Appendf(nil, `{"v":%d,"schedule":%q}`, version, t.Schedule) // a name needs no escapes
}

// manual marks the id of a tick that a person started.
const manual = "now-"

// Tick is one occurrence of an entry.
type Tick struct {
	Schedule string
	At       time.Time // whole seconds, by Redis' clock
	Manual   bool      // a person started it; its id differs from that of any other tick
}

// ID is the id of the tick's asynq task, the same for two leaders: night@2026-03-01T18:30:00Z,
// or night@now-2026-03-01T18:30:00Z if a person started it. At most 64 characters.
func (t Tick) ID() string { return t.Schedule + "@" + t.mark() + t.At.UTC().Format(time.RFC3339) }

// RunName names the run of what the tick does, the same for each attempt:
// night.20260301T183000Z. At most 64 characters, as a run's name.
func (t Tick) RunName() string {
	return t.Schedule + "." + t.mark() + t.At.UTC().Format("20060102T150405Z")
}

func (t Tick) mark() string {
	if t.Manual {
		return manual
	}
	return ""
}

// PayloadError reports a task in the queue of ticks that is not a tick.
type PayloadError struct{ What string }

// Error returns what is wrong with it, and what to do.
func (e *PayloadError) Error() string {
	return "not a tick: " + e.What + ": find the other program that writes to queue " + Queue + ", and discard the task"
}

// NewerVersionError reports a tick that was written by a newer worker.
type NewerVersionError struct{ Version int64 }

// Error returns which version can be read, and what to do.
func (e *NewerVersionError) Error() string {
	return fmt.Sprintf("the tick has version %d, this build reads up to %d: upgrade the other workers too", e.Version, payloadVersion)
}

// DecodeTick reads a tick from the id and the payload of its task. Its errors are a
// [*PayloadError] and a [*NewerVersionError].
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
	t, err := parseID(id)
	if err != nil || t.Schedule != p.Schedule {
		return Tick{}, &PayloadError{fmt.Sprintf("its id is %.120q, not %s@ and a time in UTC", id, p.Schedule)}
	}
	return t, nil
}

// parseID is the inverse of [Tick.ID].
func parseID(id string) (Tick, error) {
	name, text, _ := strings.Cut(id, "@")
	text, byPerson := strings.CutPrefix(text, manual)
	at, err := time.Parse(time.RFC3339, text)
	t := Tick{Schedule: name, At: at, Manual: byPerson}
	if err == nil && t.ID() != id {
		err = fmt.Errorf("%.120q is not the id of a tick", id)
	}
	return t, err
}

// options are the options of every tick, except its id.
func options() []asynq.Option {
	return []asynq.Option{
		asynq.Queue(Queue), asynq.MaxRetry(maxRetry), asynq.Timeout(tickTimeout), asynq.Retention(tickKept),
	}
}
