package demo

import (
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// sample is a kind of task in the sample school. Each is in a file of its own.
type sample struct {
	// add adds what only tasks of the kind change to a world with people and chats. nil:
	// nothing.
	add func(org *sandbox.Organisation)
	// requests is what the roster wants, in the order in which it is enqueued.
	requests func() []tasks.Request
	// believe adds what the platforms hold of the kind's targets to b.
	believe func(b Believed, org sandbox.Organisation)
	// wants is what a task would make the platforms hold. An empty value means that the key
	// does not exist. nil: the task is of another kind.
	wants func(o Outcome) Believed
}

var samples = []sample{nicknames, groups, courses, ids, students}

// Requests is what the roster wants: every kind of task, in the order in which
// they are enqueued.
func Requests() []tasks.Request {
	var all []tasks.Request
	for _, s := range samples {
		all = append(all, s.requests()...)
	}
	return all
}

// Believes flattens what the platforms of the sample organisation hold.
func Believes(org sandbox.Organisation) Believed {
	b := Believed{}
	for _, s := range samples {
		s.believe(b, org)
	}
	return b
}

func wants(o Outcome) Believed {
	for _, s := range samples {
		if b := s.wants(o); b != nil {
			return b
		}
	}
	return nil
}
