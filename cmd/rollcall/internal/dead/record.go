package dead

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
)

// Record is a dead letter as --json prints it: the stored one, but for the fields of these
// names. Names are added, never changed.
type Record struct {
	ledger.DeadLetter
	Row           *int           `json:"row,omitzero"`            // of the run, from 0
	Payload       jsontext.Value `json:"payload,omitempty"`       // as stored in asynq
	PayloadBase64 string         `json:"payload_base64,omitzero"` // if it is not JSON; the raw bytes of a message that is no task
}

// fields is how show and export print a dead letter. Their order is that of the columns
// of export: new ones come last.
var fields = []struct {
	column string
	title  string // of show; empty: it does not print the field
	of     func(Record) string
	cell   func(Record) string // of export, if it prints another text
}{
	{"id", "id", func(r Record) string { return r.ID }, nil},
	{"lane", "lane", func(r Record) string { return r.Lane }, nil},
	{"tenant", "", func(r Record) string { return r.Tenant }, nil},
	{"kind", "", func(r Record) string { return r.Kind }, nil},
	{"organisation", "organisation", func(r Record) string { return r.Organisation }, nil},
	{"urgent", "urgent", func(r Record) string { return yes(r.Urgent) }, func(r Record) string { return strconv.FormatBool(r.Urgent) }},
	{"key", "key", func(r Record) string { return r.Key }, nil},
	{"type", "type", func(r Record) string { return r.Type }, nil},
	{"target", "target", func(r Record) string { return r.Target }, nil},
	{"revision", "revision", func(r Record) string { return positive(r.Revision) }, nil},
	{"class", "class", func(r Record) string { return r.Class }, nil},
	{"code", "code", func(r Record) string { return r.Code }, nil},
	{"message", "message", func(r Record) string { return r.Message }, nil},
	{"request_id", "request id", func(r Record) string { return r.RequestID }, nil},
	{"todo", "to do", func(r Record) string { return r.Todo }, nil},
	{"cause", "cause", func(r Record) string { return r.Cause }, nil},
	{"attempts", "attempts", attemptsText, attemptsJSON},
	{"first", "first failed", func(r Record) string { return cli.Clock(r.First) }, func(r Record) string { return r.First.Format(time.RFC3339Nano) }},
	{"last", "last failed", func(r Record) string { return cli.Clock(r.Last) }, func(r Record) string { return r.Last.Format(time.RFC3339Nano) }},
	{"payload", "payload", func(r Record) string { return r.payloadText() }, nil},
	{"run", "run", runText, func(r Record) string { return r.Run }},
	{"row", "", rowText, nil},
}

// NewRecord returns the record of a dead letter. It masks names and ids of people
// unless personal, and leaves out the payload unless whole.
func NewRecord(l ledger.DeadLetter, personal, whole bool) Record {
	r := Record{DeadLetter: deadletter.Shown(l, personal)}
	if l.Run != "" {
		r.Row = new(l.Row)
	}
	if whole {
		r.payload(l, personal)
	} else {
		r.PayloadBytes, r.PayloadSHA256 = 0, ""
	}
	return r
}

func (r *Record) payload(l ledger.DeadLetter, personal bool) {
	payload := l.Payload
	task, meta, err := kinds.Decode(l.Type, payload)
	if !personal {
		if err == nil {
			_, payload, err = kinds.Encode(privacy.Task(task), meta.Revision)
		}
		if err != nil { // it may contain names
			r.PayloadBytes = max(l.PayloadBytes, len(l.Payload))
			return
		}
	}
	if jsontext.Value(payload).IsValid() {
		r.Payload = jsontext.Value(payload)
		return
	}
	r.PayloadBase64 = base64.StdEncoding.EncodeToString(payload)
}

// payloadText is the payload in one line.
func (r *Record) payloadText() string {
	switch {
	case r.Payload != nil:
		return string(r.Payload)
	case r.PayloadBase64 != "":
		return "base64:" + r.PayloadBase64
	case r.PayloadBytes > 0:
		return console.Count(r.PayloadBytes, "byte") + ", not shown because they may contain names of people"
	}
	return ""
}

func runText(r Record) string {
	if r.Row == nil {
		return r.Run
	}
	return fmt.Sprintf("%s, row %d", r.Run, *r.Row)
}

func rowText(r Record) string {
	if r.Row == nil {
		return ""
	}
	return strconv.Itoa(*r.Row)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func attemptsText(r Record) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(r.Attempts)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Attempts[class], class))
	}
	return strings.Join(parts, ", ")
}

func attemptsJSON(r Record) string {
	if len(r.Attempts) == 0 {
		return ""
	}
	text, err := json.Marshal(r.Attempts, json.Deterministic(true))
	if err != nil {
		return ""
	}
	return string(text)
}
