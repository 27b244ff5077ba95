package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Target is what a call is about; the API determines which fields are set.
type Target struct {
	Chat   string `json:"chat,omitempty"`
	User   string `json:"user,omitempty"`
	Course string `json:"course,omitempty"`
	// Student is a UID, or several with commas between them.
	Student string `json:"student,omitempty"`
	// Department is the id of a department.
	Department string `json:"department,omitempty"`
	// Robot is the name of a robot.
	Robot string `json:"robot,omitempty"`
	// WantedID is the DingTalk ID that was asked for. It belongs to the call,
	// not to the thing that is changed.
	WantedID string `json:"wantedId,omitempty"`
}

// thing is the target without what was asked of it.
func (t Target) thing() string {
	return strings.Join([]string{t.Chat, t.User, t.Course, t.Student, t.Department, t.Robot}, "/")
}

// Change is one field that an effect set. Old and New may be equal: a call that sets
// the same value again is an effect, too.
type Change struct {
	// Field is "nick", "dingTalkId", "name", "owner", "ownerType", "icon", "member",
	// "external", "managementOptions.<option>", a student's "nickname" in a course, or
	// the student's "name" in the console, or the "message" of a robot. A member who joins has an empty Old, one who
	// leaves an empty New.
	Field string `json:"field"`
	// Student is the uid of whom the field belongs to.
	Student string `json:"student,omitempty"`
	// Old is empty for a field that was never set.
	Old string `json:"old"`
	New string `json:"new"`
}

// Effect is what one call changed on the platform, atomically.
type Effect struct {
	Number       int64     `json:"number"` // from 1, in the order in which they took hold
	Call         int64     `json:"call"`   // the number of the Call; 0: a person did it in the app
	Time         time.Time `json:"time"`
	API          string    `json:"api"`
	Organisation string    `json:"organisation"`
	Tenant       string    `json:"tenant"` // app key or SID
	Target       Target    `json:"target"`
	Changes      []Change  `json:"changes"`
	RequestID    string    `json:"requestId"`
}

// Call is one request and its result.
type Call struct {
	Number       int64     `json:"number"` // from 1, in order of arrival
	Time         time.Time `json:"time"`   // of arrival
	API          string    `json:"api"`    // empty: no API has this path
	Method       string    `json:"method"`
	Path         string    `json:"path"`
	Organisation string    `json:"organisation,omitempty"` // empty: unknown token or SID
	Tenant       string    `json:"tenant,omitempty"`
	Target       Target    `json:"target"`
	Status       int       `json:"status"` // HTTP; 0: no answer was sent
	// Code is the platform's own: "0" or "1" or "ok" for a success, empty
	// when no answer of the platform was sent.
	Code      string `json:"code"`
	Metered   bool   `json:"metered"`
	Effect    int64  `json:"effect,omitempty"` // 0: it changed nothing
	Fault     string `json:"fault,omitempty"`  // the fault that shaped the answer
	RequestID string `json:"requestId"`
	// Overlapping counts the other calls to the same API and target that were running
	// when this one arrived.
	Overlapping int `json:"overlapping,omitempty"`
}

// record is all effects, and the last calls.
type record struct {
	keep    int
	arrived int64
	decided int64
	more    chan struct{} // closed at the next decision; nil: there is no waiter
	effects []Effect
	calls   []Call
	oldest  int // of calls, once the log is full
}

func (r *record) call(c Call) {
	r.decided++
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	if len(r.calls) < r.keep {
		r.calls = append(r.calls, c)
		return
	}
	r.calls[r.oldest] = c
	r.oldest = (r.oldest + 1) % r.keep
}

func (r *record) effect(e Effect) int64 {
	e.Number = int64(len(r.effects)) + 1
	r.effects = append(r.effects, e)
	return e.Number
}

// Effects returns everything that was changed, oldest first.
func (s *Sandbox) Effects() []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log.effects)
}

// Calls returns the calls in the log, in the order in which they were decided. The log
// keeps Config.KeepCalls of them.
func (s *Sandbox) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.log.calls[s.log.oldest:]), s.log.calls[:s.log.oldest]...)
}

// Arrived counts the calls so far, those that fell out of the log included.
func (s *Sandbox) Arrived() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.arrived
}

// WaitCalls blocks until n calls have been decided since the start, so that a test need
// not poll. A call that hangs is decided before it hangs; a call with a latency is
// decided after it. An error means that ctx ended first.
func (s *Sandbox) WaitCalls(ctx context.Context, n int64) error {
	for {
		s.mu.Lock()
		decided := s.log.decided
		if decided >= n {
			s.mu.Unlock()
			return nil
		}
		if s.log.more == nil {
			s.log.more = make(chan struct{})
		}
		more := s.log.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("waited for %d calls, saw %d: %w", n, decided, ctx.Err())
		}
	}
}
