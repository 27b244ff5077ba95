package kinds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

const (
	// firstVersion is the version of the payload of most tasks. A kind whose tasks got
	// more fields has further ones; see [Kind].
	firstVersion = 1
	// MaxPayload bounds a payload of any version, in bytes: asynq sends every
	// active payload to Redis again with each heartbeat.
	MaxPayload = 64 << 10
	// MaxDepth bounds how deep a payload of any version nests objects and lists. Without
	// it the time to read one grows with the square of its depth: seconds for 62 KB.
	MaxDepth = 16
)

// Meta is what a payload holds besides its task.
type Meta struct {
	Version  int   // of the payload, from 1
	Revision int64 // orders the changes of one target: microseconds of Redis' clock, 1 to ledger.MaxRevision
}

// NewerVersionError reports a payload of a newer producer. The task is not at fault:
// an upgraded worker can execute it.
type NewerVersionError struct {
	Type    string
	Version int64 // of the payload
	Known   int   // the newest that this build reads
}

func (e *NewerVersionError) Error() string {
	return fmt.Sprintf("payload of %s has version %d, this build reads up to %d: upgrade the workers before the producers",
		e.Type, e.Version, e.Known)
}

// UnknownTypeError reports a type that no kind of task has.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	var known []string
	for _, k := range All() {
		known = append(known, k.Type)
	}
	return fmt.Sprintf("task type %.80q is not known: known are %s and %s",
		e.Type, strings.Join(known[:len(known)-1], ", "), known[len(known)-1])
}

// PayloadError reports a payload that does not have the form of its version. It
// never repeats a value of the payload.
type PayloadError struct {
	Type  string
	Field string // "nickname", "add_user_ids[2]"; empty for the payload as a whole
	What  string
}

func (e *PayloadError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("payload of %s: %s", e.Type, e.What)
	}
	return fmt.Sprintf("payload of %s: %s: %s", e.Type, e.Field, e.What)
}

// envelope is the payload: its version and revision first, then the task's own
// fields at the same level.
type envelope[T any] struct {
	Version  int   `json:"v"`
	Revision int64 `json:"rev"`
	Task     T     `json:",embed"`
}

// Encode returns the asynq task type and the payload of a task, in the oldest version
// that has its fields: workers of an earlier build can execute it. It does not validate
// the task, beyond its size.
func Encode(task tasks.Task, revision int64) (typename string, payload []byte, err error) {
	k, ok := Of(task)
	if !ok {
		return "", nil, tasks.Request{Task: task}.Validate(tasks.Limits{})
	}
	payload, err = k.encode(task, revision)
	if err != nil {
		// Only invalid UTF-8 can get here; the encoder's message would quote it.
		return "", nil, &tasks.ValidationError{Kind: k.Name, Problems: []tasks.Problem{{Field: "payload", What: "holds text that is not valid UTF-8"}}}
	}
	if len(payload) > MaxPayload {
		return "", nil, &tasks.ValidationError{Kind: k.Name, Problems: []tasks.Problem{{
			Field: "payload",
			What:  fmt.Sprintf("has %d bytes, at most %d: split the member lists", len(payload), MaxPayload),
		}}}
	}
	return k.Type, payload, nil
}

func encode[T any](task T, version int, revision int64) ([]byte, error) {
	return json.Marshal(envelope[T]{Version: version, Revision: revision, Task: task})
}

// Decode reads the payload of an asynq task. It accepts exactly the fields of
// the payload's version and does not validate their values.
//
// Errors: [*UnknownTypeError], [*NewerVersionError], [*PayloadError].
func Decode(typename string, payload []byte) (tasks.Task, Meta, error) {
	k, ok := OfType(typename)
	if !ok {
		return nil, Meta{}, &UnknownTypeError{Type: typename}
	}
	return k.decode(payload)
}

// DecodeAs reads the payload of a task whose kind is known, as [Decode] does.
func DecodeAs[T tasks.Task](payload []byte) (T, Meta, error) {
	var zero T
	_, name := zero.Lane()
	kind, _ := Named(name)
	task, meta, err := kind.decode(payload)
	if err != nil {
		return zero, Meta{}, err
	}
	return task.(T), meta, nil //nolint:forcetypeassert // the table has one kind of that name
}

func decodeTask[T tasks.Task](typename string, newest int, version func(T) int, payload []byte) (tasks.Task, Meta, error) {
	task, meta, err := decode[T](typename, newest, payload)
	if err != nil {
		return nil, Meta{}, err
	}
	if needs := version(task); needs > meta.Version {
		return nil, Meta{}, &PayloadError{Type: typename, Field: "v", What: fmt.Sprintf("is %d, and the payload has a field of version %d", meta.Version, needs)}
	}
	return task, meta, nil
}

// decode reads a payload of up to the newest version.
func decode[T any](typename string, newest int, payload []byte) (T, Meta, error) {
	var zero T
	if n := len(payload); n > MaxPayload {
		return zero, Meta{}, &PayloadError{Type: typename, What: fmt.Sprintf("has %d bytes, at most %d", n, MaxPayload)}
	}
	// As a rule a payload is of this version and holds no null, which the strict
	// reading alone shows. The survey reports what is wrong with another.
	if !bytes.Contains(payload, []byte("null")) {
		var e envelope[T]
		err := json.Unmarshal(payload, &e, json.RejectUnknownMembers(true))
		if err == nil && e.Version >= 1 && e.Version <= newest && e.Revision >= 1 && e.Revision <= ledger.MaxRevision {
			return e.Task, Meta{Version: e.Version, Revision: e.Revision}, nil
		}
	}
	version, null, err := survey(payload)
	switch {
	case err != nil:
		return zero, Meta{}, payloadError(typename, newest, err)
	case version == "":
		return zero, Meta{}, &PayloadError{Type: typename, Field: "v", What: "is missing"}
	}
	v, err := strconv.ParseInt(version, 10, 64)
	switch {
	case err != nil || v < 1:
		return zero, Meta{}, &PayloadError{Type: typename, Field: "v", What: "must be a whole number, at least 1"}
	case v > int64(newest):
		return zero, Meta{}, &NewerVersionError{Type: typename, Version: v, Known: newest}
	case null != "":
		return zero, Meta{}, &PayloadError{Type: typename, Field: fieldName(null), What: "is null: leave it out instead"}
	}

	var e envelope[T]
	if err := json.Unmarshal(payload, &e, json.RejectUnknownMembers(true)); err != nil {
		return zero, Meta{}, payloadError(typename, newest, err)
	}
	if e.Revision < 1 {
		return zero, Meta{}, &PayloadError{Type: typename, Field: "rev", What: "is missing or below 1"}
	}
	if e.Revision > ledger.MaxRevision {
		return zero, Meta{}, &PayloadError{Type: typename, Field: "rev", What: "is 2^53 or above, which no producer hands out"}
	}
	return e.Task, Meta{Version: e.Version, Revision: e.Revision}, nil
}

// survey reads a payload of any version: is it one JSON object, what is its version,
// and where is its first null? The strict reading comes after, as a newer version
// may hold anything.
func survey(payload []byte) (version string, null jsontext.Pointer, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(payload))
	if d.PeekKind() != jsontext.KindBeginObject {
		if _, err := d.ReadToken(); err != nil && !errors.Is(err, io.EOF) {
			return "", "", err
		}
		return "", "", errNotAnObject
	}
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return version, null, nil
		}
		if err != nil {
			return "", "", err
		}
		if d.StackDepth() > MaxDepth {
			return "", "", errTooDeep
		}
		if token.Kind() == jsontext.KindEndObject && d.StackDepth() == 0 {
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return "", "", errTrailing
			}
			return version, null, nil
		}
		where := d.StackPointer()
		if token.Kind() == jsontext.KindNull && null == "" {
			null = where
		}
		if where == "/v" { // of the name as well as of its value, which comes last
			version = "not a number"
			if token.Kind() == jsontext.KindNumber {
				version = token.String()
			}
		}
	}
}

var (
	errNotAnObject = errors.New("is not a JSON object")
	errTrailing    = errors.New("goes on after its JSON object")
	errTooDeep     = fmt.Errorf("is nested deeper than %d levels", MaxDepth)
)

// payloadError names the field at fault and puts the fault in our own words:
// the decoder's would quote names and nicknames.
func payloadError(typename string, newest int, err error) *PayloadError {
	out := &PayloadError{Type: typename}
	if errors.Is(err, errNotAnObject) || errors.Is(err, errTrailing) || errors.Is(err, errTooDeep) {
		out.What = err.Error()
		return out
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		out.Field = fieldName(syntax.JSONPointer)
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			out.What = "stands there twice"
		case errors.Is(err, io.ErrUnexpectedEOF):
			out.What = "ends too early"
		default:
			out.What = fmt.Sprintf("is not valid JSON in UTF-8 at byte %d", syntax.ByteOffset)
		}
		return out
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		out.Field = fieldName(semantic.JSONPointer)
		switch {
		case errors.Is(err, json.ErrUnknownName):
			out.What = fmt.Sprintf("is not a field of version %d (names are case-sensitive)", newest)
		case semantic.GoType != nil:
			out.What = "must be a JSON " + jsonName(semantic.GoType.Kind().String())
		default:
			out.What = "has the wrong type"
		}
		return out
	}
	out.What = "is not valid JSON"
	return out
}

func jsonName(goKind string) string {
	switch {
	case strings.HasPrefix(goKind, "int"):
		return "whole number in range"
	case goKind == "slice":
		return "array"
	case goKind == "struct":
		return "object"
	}
	return goKind
}

// fieldName turns /add_user_ids/2 into add_user_ids[2]. Names come from outside:
// they are bounded, and quoted unless they are plain.
func fieldName(pointer jsontext.Pointer) string {
	var b strings.Builder
	for token := range pointer.Tokens() {
		if _, err := strconv.Atoi(token); err == nil && b.Len() > 0 {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if strings.Trim(token, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" || token == "" || len(token) > 64 {
			token = fmt.Sprintf("%.64q", token)
		}
		b.WriteString(token)
	}
	return b.String()
}
