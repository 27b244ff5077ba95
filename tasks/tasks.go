// Package tasks is what other services import to ask rollcall for work: the
// four kinds of task, their stored form, and the client that stores them.
//
// It must not know any platform's API, nor how a task is carried out: a
// producer links neither.
package tasks

import (
	"fmt"
	"regexp"
	"strings"

	"rollcall/internal/ledger"
)

// Kind names one sort of work. It is also the last part of a lane's name.
type Kind string

// The kinds. Their values are stored in Redis and stand in configurations.
const (
	KindNickname Kind = "nickname" // a member's nickname in a DingTalk chat
	KindCourse   Kind = "course"   // all nicknames of a ClassIn course
	KindGroup    Kind = "group"    // a DingTalk chat's name, owner, members, options
	KindID       Kind = "id"       // an employee's DingTalk ID
)

// The asynq task types. A type must not change while tasks of it are stored:
// a worker that does not know a type cannot carry it out.
const (
	TypeNicknameSync = "nickname:sync"
	TypeCourseSync   = "nickname:sync_course"
	TypeGroupUpdate  = "group:update"
	TypeIDChange     = "id:change"
)

// Kinds lists every Kind, in the order of this package's documentation.
func Kinds() []Kind { return []Kind{KindNickname, KindCourse, KindGroup, KindID} }

// Type returns the asynq task type of k, empty for a kind that does not exist.
func (k Kind) Type() string {
	switch k {
	case KindNickname:
		return TypeNicknameSync
	case KindCourse:
		return TypeCourseSync
	case KindGroup:
		return TypeGroupUpdate
	case KindID:
		return TypeIDChange
	}
	return ""
}

// KindOfType returns the kind of an asynq task type.
func KindOfType(typename string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Type() == typename {
			return k, true
		}
	}
	return "", false
}

// Task is one of [NicknameSync], [CourseSync], [GroupUpdate] and [IDChange],
// by value. Nothing else is: what is not one of them is refused.
type Task interface {
	// Validate returns a [*ValidationError] that lists everything wrong, or nil.
	Validate(Limits) error
	// Wish tells the ledger which target of the organisation the task is about,
	// and what it wants of it. It is meaningful for a valid task only.
	Wish(organisation string) (ledger.Target, []ledger.Field)
}

// laneOf returns whose queue a task belongs in. ok is false for a Task that is
// none of the four.
func laneOf(task Task) (tenant string, kind Kind, ok bool) {
	switch t := task.(type) {
	case NicknameSync:
		return t.Tenant, KindNickname, true
	case CourseSync:
		return t.Tenant, KindCourse, true
	case GroupUpdate:
		return t.Tenant, KindGroup, true
	case IDChange:
		return t.Tenant, KindID, true
	}
	return "", "", false
}

// Queue returns the asynq queue of a lane, e.g. "lakeside-dt.nickname" or
// "lakeside-dt.nickname.urgent".
func Queue(tenant string, kind Kind, urgent bool) string {
	queue := tenant + "." + string(kind)
	if urgent {
		queue += ".urgent"
	}
	return queue
}

// ParseQueue takes the name of a lane's queue apart. ok is false for a queue
// that no lane has.
func ParseQueue(queue string) (tenant string, kind Kind, urgent, ok bool) {
	lane, urgent := strings.CutSuffix(queue, ".urgent")
	tenant, last, _ := strings.Cut(lane, ".")
	kind = Kind(last)
	if kind.Type() == "" || !ValidTenant(tenant) {
		return "", "", false, false
	}
	return tenant, kind, urgent, true
}

var tenantPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// ValidTenant reports whether name can name a tenant: 1 to 39 of a-z, 0-9 and
// "-", not beginning with "-". A dot would make queue names ambiguous.
func ValidTenant(name string) bool { return tenantPattern.MatchString(name) }

func errNotATask(task Task) error {
	return fmt.Errorf("%T is not a task: pass a NicknameSync, CourseSync, GroupUpdate or IDChange by value", task)
}
