// Package kinds is the one table of the kinds of task: what each is called in asynq,
// how it is stored, which target it changes and which of its values are personal.
// A kind is declared in a file of its own; a kind that is not declared is refused
// everywhere.
//
// It must not know how a task is executed.
package kinds

import (
	"slices"
	"strings"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// Kind is a kind of task.
type Kind struct {
	Name tasks.Kind
	// Type is the asynq task type. It must not change while tasks of it are stored:
	// a worker that does not know a type cannot execute it.
	Type string
	// Platform is the one that carries out the tasks, by its key in the configuration, and
	// Limit the rate of its tenants.
	Platform string
	Limit    Limit
	// Label is what pages call a target of the kind: "group nickname".
	Label Label
	// Columns are those of a file, besides the columns of every kind.
	Columns []Column
	// ChangesOneOf is set if a row changes at least one of the columns that are not needed.
	ChangesOneOf bool
	// Words are the names of the kind in Chinese files, the usual one first.
	Words []string
	// About says in a phrase what a task sets, Target how a target is written.
	About, Target string
	// Example is a file of one row, with the columns that are usual.
	Example []Cell
	// Person and Value are the columns of a person and of their name, of kinds whose names
	// a rule can compute. Empty: it cannot.
	Person, Value string
	// Longest is the longest such name that the platform takes, in characters, unless a tenant
	// takes more. 0: a rule numbers the names, and they have a form of their own.
	Longest int
	// Command describes the subcommand of enqueue.
	Command Command

	// ids is how many ids the key of a target has, with a slash between two. 0: one, in which
	// a slash is part of the id.
	ids int
	// newest is the newest version of the payload that this build reads. 0: the first.
	newest int
	// keyOf returns the key of the target that a chat or a person is by itself, as a chat is
	// that of its group update; of the two the other is empty. nil: they are none.
	keyOf func(chat, person string) string
	// maskKey replaces the ids of people in the key of a target. nil: the key is not personal.
	maskKey func(key string, mask func(string) string) string
	// public reports whether the value of a field is not personal. nil: none is.
	public func(field string) bool
	// restore is the inverse of change: it returns the fields of the payload, but for the
	// tenant, of a task that sets values of a target. nil: such a task is never made.
	restore func(key string, values map[string]string) map[string]string

	// Made by declare.
	names    []string // of Columns
	is       func(task tasks.Task) bool
	encode   func(task tasks.Task, revision int64) ([]byte, error)
	decode   func(payload []byte) (tasks.Task, Meta, error)
	row      func(of func(column string) string, list func(column string) []string) tasks.Task
	subject  func(task tasks.Task) string
	involves func(task tasks.Task) (chat string, people []string)
	change   func(task tasks.Task, organisation string) (ledger.Target, []ledger.Field)
	mask     func(task tasks.Task, mask func(string) string) tasks.Task
}

// Limit is the rate at which a tenant may send tasks of a kind, if its configuration sets
// none: Default as the configuration writes it, and the calls that it bounds.
type Limit struct{ Default, Calls string }

// Label is a name for people.
type Label struct{ English, Chinese string }

// Command is the help of a command for one task of a kind.
type Command struct{ Arguments, Short, Long, Example string }

// Cell is a value of a column. Zh is the column's Chinese name, if it is not the first
// synonym.
type Cell struct{ Column, Zh, Value string }

// functions are what a kind does with its own type of task.
type functions[T tasks.Task] struct {
	// version returns the oldest version that has all fields of a task. nil: the first.
	version func(task T) int
	// subject returns the id of the person or course in a row. nil: a row may have none.
	subject func(task T) string
	// involves returns the chat and the people of a task. nil: it has neither.
	involves func(task T) (chat string, people []string)
	// row returns the task of a row. Of a column with choices the value is one of them.
	row func(of func(column string) string, list func(column string) []string) T
	// change returns the target of a valid task, and the values that it should have.
	change func(task T, organisation string) (ledger.Target, []ledger.Field)
	// mask returns a copy with every name and id of a person replaced by mask.
	mask func(task T, mask func(string) string) T
}

// declare returns the kind of the tasks of type T.
func declare[T tasks.Task](k Kind, f functions[T]) Kind {
	k.newest = max(k.newest, firstVersion)
	if f.version == nil {
		f.version = func(T) int { return firstVersion }
	}
	if f.subject == nil {
		f.subject = func(T) string { return "" }
	}
	if f.involves == nil {
		f.involves = func(T) (string, []string) { return "", nil }
	}
	for _, c := range k.Columns {
		k.names = append(k.names, c.Name)
	}
	k.is = func(task tasks.Task) bool { _, ok := task.(T); return ok }
	k.encode = func(task tasks.Task, revision int64) ([]byte, error) {
		return encode(task.(T), f.version(task.(T)), revision)
	}
	k.decode = func(payload []byte) (tasks.Task, Meta, error) {
		return decodeTask(k.Type, k.newest, f.version, payload)
	}
	k.row = func(of func(string) string, list func(string) []string) tasks.Task { return f.row(of, list) }
	k.subject = func(task tasks.Task) string { return f.subject(task.(T)) }
	k.involves = func(task tasks.Task) (string, []string) { return f.involves(task.(T)) }
	k.change = func(task tasks.Task, organisation string) (ledger.Target, []ledger.Field) {
		return f.change(task.(T), organisation)
	}
	k.mask = func(task tasks.Task, mask func(string) string) tasks.Task { return f.mask(task.(T), mask) }
	return k
}

// Row returns the task of a row, not validated: of returns the value of a column, list the
// entries of one that holds a list. Of a column with choices the value must be one of them,
// or empty. It is nil for the zero Kind.
func (k Kind) Row(of func(column string) string, list func(column string) []string) tasks.Task {
	if k.row == nil {
		return nil
	}
	return k.row(of, list)
}

// KeyOf returns the key of the target that a chat or a person is by itself: a chat is that of
// a group update, an employee that of an ID change. One of the two is empty. "": they are no
// target of the kind, which includes the zero Kind.
func (k Kind) KeyOf(chat, person string) string {
	if k.keyOf == nil {
		return ""
	}
	return k.keyOf(chat, person)
}

// WrongKey says why a key cannot be that of a target of the kind, and how to write one. "": it
// can. No target has an empty key; of a kind that is not declared any other may be one.
func WrongKey(name tasks.Kind, key string) string {
	k, _ := Named(name)
	switch {
	case key == "" && k.Target == "":
		return "it is empty"
	case key == "":
		return "it is empty: use " + k.Target
	case k.ids > 1 && strings.Count(key, "/") != k.ids-1:
		return "use " + k.Target + ", with one slash; write a slash or percent sign in an id as %2F or %25"
	}
	return ""
}

// Named returns the task that gives a person a name, in a chat where the kind has one, with
// the alternatives of an ID. The kind must have a [Kind.Person].
func (k Kind) Named(tenant, chat, person, name string, alternatives []string) tasks.Task {
	return k.Row(func(column string) string {
		switch column {
		case "tenant":
			return tenant
		case "chat_id":
			return chat
		case k.Person:
			return person
		case k.Value:
			return name
		}
		return ""
	}, func(string) []string { return alternatives })
}

var table = []Kind{nickname, course, group, id, student}

// All returns every kind.
func All() []Kind { return slices.Clone(table) }

// Names returns the name of every kind.
func Names() []tasks.Kind {
	names := make([]tasks.Kind, len(table))
	for i, k := range table {
		names[i] = k.Name
	}
	return names
}

// Named returns the kind of a name. ok is false for a kind that is not declared.
func Named(name tasks.Kind) (Kind, bool) {
	return find(func(k *Kind) bool { return k.Name == name })
}

// OfType returns the kind of an asynq task type.
func OfType(typename string) (Kind, bool) {
	return find(func(k *Kind) bool { return k.Type == typename })
}

// Of returns the kind of a task. ok is false for nil and for a pointer.
func Of(task tasks.Task) (Kind, bool) {
	return find(func(k *Kind) bool { return k.is(task) })
}

// Choice lists the names of all kinds for a message: "nickname, course or id".
func Choice() string {
	var names []string
	for _, name := range Names() {
		names = append(names, string(name))
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Targets says how the targets of all kinds are written: "chat/user for a nickname, the course
// for a course".
func Targets() string {
	all := make([]string, len(table))
	for i, k := range table {
		all[i] = k.Target
	}
	return strings.Join(all, ", ")
}

// TypeOf returns the asynq task type of a kind, empty for one that is not declared.
func TypeOf(name tasks.Kind) string {
	k, _ := Named(name)
	return k.Type
}

// find compares without copies: each row of a file asks for its kind many times.
func find(is func(*Kind) bool) (Kind, bool) {
	for i := range table {
		if is(&table[i]) {
			return table[i], true
		}
	}
	return Kind{}, false
}

// Change returns the target of the organisation that a task changes, and the values
// that it should have. The task must be valid.
func Change(task tasks.Task, organisation string) (ledger.Target, []ledger.Field) {
	k, ok := Of(task)
	if !ok {
		return ledger.Target{}, nil
	}
	return k.change(task, organisation)
}

// Mask returns a copy of a task with every name and id of a person replaced by what
// mask returns for it. Of something that is not a task nothing is left: nil.
func Mask(task tasks.Task, mask func(string) string) tasks.Task {
	k, ok := Of(task)
	if !ok {
		return nil
	}
	return k.mask(task, mask)
}

// Subject returns the id of the person or course that a task is about, as it stands in a
// row of a file. "": the row need not have one.
func Subject(task tasks.Task) string {
	k, ok := Of(task)
	if !ok {
		return ""
	}
	return k.subject(task)
}

// Involves returns the chat and the people that a task names by their ids, "" and nil if
// there are none. ok is false for something that is not a task of a declared kind.
func Involves(task tasks.Task) (chat string, people []string, ok bool) {
	k, ok := Of(task)
	if !ok {
		return "", nil, false
	}
	chat, people = k.involves(task)
	return chat, people, true
}

// MaskKey does what [Mask] does to the key of a target. Of a kind that is not declared the
// whole key is masked.
func MaskKey(name tasks.Kind, key string, mask func(string) string) string {
	k, ok := Named(name)
	switch {
	case !ok:
		return mask(key)
	case k.maskKey == nil:
		return key
	}
	return k.maskKey(key, mask)
}

// Personal reports whether the value of a field of a target is personal, as every
// value is of a kind that is not declared.
func Personal(name tasks.Kind, field string) bool {
	k, ok := Named(name)
	return !ok || k.public == nil || !k.public(field)
}

// maskAll masks each entry of a list, in a copy. A nil list stays nil.
func maskAll(ids []string, mask func(string) string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, mask(id))
	}
	return out
}
