package forget

import (
	"slices"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// subject is the chat or the user whose records are removed; the other one is empty.
type subject struct{ chat, user string }

// String names the subject for people and for the audit log: ids of people are masked.
func (s subject) String() string {
	if s.chat != "" {
		return "chat " + s.chat
	}
	return "user " + privacy.Mask(s.user)
}

// is reports whether a task is about the subject. A kind that is not declared is: what is
// recorded of it is shown before it is removed.
func (s subject) is(task tasks.Task) bool {
	chat, people, declared := kinds.Involves(task)
	if !declared {
		return task != nil
	}
	return s.chat != "" && s.chat == chat || s.user != "" && slices.Contains(people, s.user)
}

// has reports whether a target is the subject, or has it as a value: the owner of a chat.
func (s subject) has(l registry.Lane, r ledger.Record) bool {
	if r.Target == s.target(l) {
		return true
	}
	kind, ok := kinds.Named(l.Kind)
	if !ok || !kind.Restores() {
		return false
	}
	values := map[string]string{}
	for name, f := range r.Fields {
		values[name] = f.Value
	}
	task, err := kind.Restore(l.Tenant, r.Target.Key, values)
	return err == nil && s.is(task)
}

// target is the one target of a lane that is the subject itself; zero: it has none. The
// members of chats are found by the index.
func (s subject) target(l registry.Lane) ledger.Target {
	kind, _ := kinds.Named(l.Kind)
	key := kind.KeyOf(s.chat, s.user)
	if key == "" {
		return ledger.Target{}
	}
	return ledger.Target{Organisation: l.Organisation, API: string(l.Kind), Key: key}
}

// dead reports whether a dead letter is about the subject.
func (s subject) dead(d ledger.DeadLetter) bool {
	task, _, err := kinds.Decode(d.Type, d.Payload)
	if err == nil {
		return s.is(task)
	}
	return s.keyed(tasks.Kind(d.Kind), d.Target)
}

// closed reports the same of one without its payload.
func (s subject) closed(c ledger.ClosedDeadLetter) bool { return s.keyed(tasks.Kind(c.Kind), c.Target) }

// keyed reports whether the key of a target is about the subject.
func (s subject) keyed(kind tasks.Kind, key string) bool {
	return s.has(registry.Lane{Kind: kind}, ledger.Record{Target: ledger.Target{API: string(kind), Key: key}})
}
