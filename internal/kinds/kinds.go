// Package kinds is the one table of the kinds of task: what each is called in asynq,
// how it is stored, which target it changes and which of its values are personal.
// A kind is declared in a file of its own; a kind that is not declared is refused
// everywhere.
//
// It must not know any platform, nor how a task is executed.
package kinds

import (
	"slices"
	"strings"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// Previous is the column of the value that a target has now, of kinds with one value. It
// is not part of the task.
const Previous = "previous"

// Kind is a kind of task.
type Kind struct {
	Name tasks.Kind
	// Type is the asynq task type. It must not change while tasks of it are stored:
	// a worker that does not know a type cannot execute it.
	Type string
	// Columns are those of a file, besides the columns of every kind.
	Columns []string
	// Needs are the columns without which a file is not of the kind; NeedsOneOf are
	// columns of which it has at least one, if there are any.
	Needs, NeedsOneOf []string
	// Synonyms are other names of columns, the usual Chinese one first.
	Synonyms map[string][]string
	// Words are the names of the kind in Chinese files, the usual one first.
	Words []string
	// IDs are the columns that hold one id, Lists those that hold lists of ids.
	IDs, Lists []string
	// About says in a phrase what a task sets, Target how a target is written.
	About, Target string
	// Example is a file of one row, with the columns that are usual.
	Example []Cell

	options []string // columns that are options in a payload
	newest  int      // version of the payload
	row     func(of func(column string) string, list func(column string) []string) tasks.Task
	subject func(task tasks.Task) string
	is      func(task tasks.Task) bool
	encode  func(task tasks.Task, revision int64) ([]byte, error)
	decode  func(payload []byte) (tasks.Task, Meta, error)
	change  func(task tasks.Task, organisation string) (ledger.Target, []ledger.Field)
	mask    func(task tasks.Task, mask func(string) string) tasks.Task
	maskKey func(key string, mask func(string) string) string
	// public are the fields of the target whose values are not personal.
	public  func(field string) bool
	restore func(key string, values map[string]string) map[string]string
}

// Cell is a value of a column. Zh is the column's Chinese name, if it is not the first
// synonym.
type Cell struct{ Column, Zh, Value string }

// declaration is a Kind in terms of its own type of task. The fields without a comment
// are those of [Kind].
type declaration[T tasks.Task] struct {
	name     tasks.Kind
	typ      string
	about    string
	target   string
	columns  []string
	needs    []string // nil: all columns
	oneOf    []string
	synonyms map[string][]string // of the columns that no kind above it in the table has
	words    []string
	ids      []string
	lists    []string
	options  []string
	example  []Cell
	// newest is the newest version of the payload that this build reads. 0: 1.
	newest int
	// version returns the oldest version that has all fields of a task. nil: 1.
	version func(task T) int
	// subject returns the id of the person or course in a row. nil: a row may have none.
	subject func(task T) string
	// row returns the task of a row of a file. nil: package roster reads the row, whose
	// columns have words of their own.
	row func(of func(column string) string, list func(column string) []string) T
	// change returns the target of a valid task, and the values that it should have.
	change func(task T, organisation string) (ledger.Target, []ledger.Field)
	// mask returns a copy with every name and id of a person replaced by mask.
	mask func(task T, mask func(string) string) T
	// maskKey does the same to the key of a target. nil: the key is not personal.
	maskKey func(key string, mask func(string) string) string
	// public reports whether the value of a field is not personal. nil: none is.
	public func(field string) bool
	// restore is the inverse of change: it returns the fields of the payload, but for the
	// tenant, of a task that sets values of a target. nil: such a task is never made.
	restore func(key string, values map[string]string) map[string]string
}

func declare[T tasks.Task](d declaration[T]) Kind {
	if d.maskKey == nil {
		d.maskKey = func(key string, _ func(string) string) string { return key }
	}
	if d.public == nil {
		d.public = func(string) bool { return false }
	}
	if d.version == nil {
		d.newest, d.version = firstVersion, func(T) int { return firstVersion }
	}
	if d.subject == nil {
		d.subject = func(T) string { return "" }
	}
	if d.needs == nil {
		d.needs = d.columns
	}
	k := Kind{
		Name: d.name, Type: d.typ, About: d.about, Target: d.target, Columns: d.columns, Needs: d.needs, NeedsOneOf: d.oneOf,
		Synonyms: d.synonyms, Words: d.words, IDs: d.ids, Lists: d.lists, Example: d.example,
		subject: func(task tasks.Task) string { return d.subject(task.(T)) },
		is:      func(task tasks.Task) bool { _, ok := task.(T); return ok },
		options: d.options,
		newest:  d.newest,
		encode: func(task tasks.Task, revision int64) ([]byte, error) {
			return encode(task.(T), d.version(task.(T)), revision)
		},
		decode: func(payload []byte) (tasks.Task, Meta, error) { return decodeTask(d, payload) },
		change: func(task tasks.Task, organisation string) (ledger.Target, []ledger.Field) {
			return d.change(task.(T), organisation)
		},
		mask:    func(task tasks.Task, mask func(string) string) tasks.Task { return d.mask(task.(T), mask) },
		maskKey: d.maskKey,
		public:  d.public,
		restore: d.restore,
	}
	if d.row != nil {
		k.row = func(of func(string) string, list func(string) []string) tasks.Task { return d.row(of, list) }
	}
	return k
}

// Row returns the task of a row of a file, not validated: of returns the value of a
// column, list the entries of one that holds a list. ok is false for a kind whose rows
// package roster reads itself.
func (k Kind) Row(of func(column string) string, list func(column string) []string) (task tasks.Task, ok bool) {
	if k.row == nil { // also of the zero value
		return nil, false
	}
	return k.row(of, list), true
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

// MaskKey does what [Mask] does to the key of a target. Of a kind that is not declared the
// whole key is masked.
func MaskKey(name tasks.Kind, key string, mask func(string) string) string {
	k, ok := Named(name)
	if !ok {
		return mask(key)
	}
	return k.maskKey(key, mask)
}

// Personal reports whether the value of a field of a target is personal, as every
// value is of a kind that is not declared.
func Personal(name tasks.Kind, field string) bool {
	k, ok := Named(name)
	return !ok || !k.public(field)
}

// maskAll masks each entry of a list, in a copy. A nil list stays nil.
func maskAll(ids []string, mask func(string) string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, mask(id))
	}
	return out
}
