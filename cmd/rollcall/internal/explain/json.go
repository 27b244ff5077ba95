package explain

import (
	"maps"
	"slices"
	"time"

	"rollcall/cmd/rollcall/internal/dead"
	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/internal/console"
)

// explainRecord is an explanation as --json prints it. Its names are stable: names are
// added, never changed.
type explainRecord struct {
	Conclusion string `json:"conclusion"` // of the field that most needs a person: damaged, person, dead, vanished, underway, waiting, doubt, settled or unknown
	Words      string `json:"words"`      // the conclusion as text

	Lane         string `json:"lane"`
	Organisation string `json:"organisation"`
	Target       string `json:"target"`

	InFlightUntil time.Time        `json:"in_flight_until,omitzero"` // end of the running task's lease, unless it is renewed
	SettledAt     time.Time        `json:"settled_at,omitzero"`      // when a task was last applied
	Fields        []fieldRecord    `json:"fields,omitempty"`
	Edits         []editRecord     `json:"edits,omitempty"`      // that wait
	Sources       map[string]int64 `json:"sources,omitempty"`    // the highest number of each source
	Effects       []effectRecord   `json:"effects,omitempty"`    // the last ten
	Letters       []dead.Record    `json:"letters,omitempty"`    // of the target
	LettersCut    bool             `json:"letters_cut,omitzero"` // only the latest 1,000 of the lane and those of the tasks above were read
	Damaged       []string         `json:"damaged,omitempty"`    // keys and entries
	LaneState     lanes.Record     `json:"lane_state"`
}

// fieldRecord is one field of a target. Revisions are microseconds of Redis'
// clock.
type fieldRecord struct {
	Name       string        `json:"name"`                // of the field
	Conclusion string        `json:"conclusion"`          // of this field
	Newest     int64         `json:"newest,omitzero"`     // revision of the latest change
	Task       *taskRecord   `json:"task,omitempty"`      // of the latest change
	Applied    int64         `json:"applied,omitzero"`    // revision
	Value      string        `json:"value,omitzero"`      // that was applied
	Requested  string        `json:"wished,omitzero"`     // the value of the change, if an alternative was applied
	Doubt      int64         `json:"doubt,omitzero"`      // revision with an unknown outcome
	Answered   bool          `json:"answered,omitzero"`   // its request was answered, not clearly, and can no longer take effect
	Late       time.Time     `json:"late,omitzero"`       // since when a request may have taken effect late
	ResendAt   time.Time     `json:"resend_at,omitzero"`  // the applied value is sent once more then, at the earliest
	Intent     *intentRecord `json:"intent,omitempty"`    // of an ID with an unknown outcome
	Refused    int           `json:"refused,omitzero"`    // candidates
	Lock       string        `json:"lock,omitzero"`       // applied, said or unverified
	LockUntil  time.Time     `json:"lock_until,omitzero"` // when the lock ends
}

type intentRecord struct {
	Value    string      `json:"value"` // the ID
	Sends    int         `json:"sends"` // how often it was sent
	At       time.Time   `json:"at"`    // when last
	Revision int64       `json:"revision"`
	Task     *taskRecord `json:"task"`
}

type taskRecord struct {
	ID    string    `json:"id"` // in asynq
	Queue string    `json:"queue,omitzero"`
	State string    `json:"state,omitzero"` // in asynq; absent if it does not know the task
	Next  time.Time `json:"next,omitzero"`  // attempt
	Error string    `json:"error,omitzero"` // the last one
	Open  bool      `json:"open"`           // not ended, according to the ledger
	Dead  bool      `json:"dead,omitzero"`  // it has a dead letter
}

type editRecord struct {
	Revision int64       `json:"revision"`
	Task     *taskRecord `json:"task"`
}

type effectRecord struct {
	At        time.Time         `json:"at"`
	Revision  int64             `json:"revision,omitzero"`
	TaskID    string            `json:"task_id,omitzero"`
	RequestID string            `json:"request_id,omitzero"`
	Set       map[string]string `json:"set,omitempty"` // values that were applied
	By        string            `json:"by,omitzero"`   // the person who confirmed or rejected an ID
	Did       string            `json:"did,omitzero"`  // what the person did
}

func (x *explanation) json() explainRecord {
	end := x.Conclude()
	r := explainRecord{
		Conclusion: string(end.Word), Words: console.Line(x.words(end)), Lane: x.lane.Name(), Organisation: x.lane.Organisation, Target: x.Key(),
		Sources: x.Record.Sources, LettersCut: x.More, LaneState: x.survey.Record(x.lane),
	}
	if x.Record.InFlight {
		r.InFlightUntil = x.Record.Until.UTC()
	}
	if !x.Record.Settled.IsZero() {
		r.SettledAt = x.Record.Settled.UTC()
	}
	for _, name := range x.Record.Names() {
		r.Fields = append(r.Fields, x.fieldRecord(name))
	}
	for _, e := range x.Record.Edits {
		r.Edits = append(r.Edits, editRecord{e.Revision, x.taskRecord(e.TaskID)})
	}
	for _, d := range x.Record.Damaged {
		r.Damaged = append(r.Damaged, d.String())
	}
	for _, e := range x.Record.Effects {
		set := maps.Clone(e.Set)
		for name, value := range set {
			set[name] = x.Value(name, value)
		}
		r.Effects = append(r.Effects, effectRecord{e.At.UTC(), e.Revision, e.TaskID, x.Masked(e.RequestID), set, e.By, e.Did})
	}
	for _, l := range x.Dead {
		r.Letters = append(r.Letters, dead.NewRecord(l, x.Personal, false))
	}
	return r
}

func (x *explanation) fieldRecord(name string) fieldRecord {
	f := x.Record.Fields[name]
	r := fieldRecord{
		Name: name, Conclusion: string(x.ConcludeField(name).Word), Newest: f.Latest, Applied: f.Applied,
		Value: x.Value(name, f.Value), Requested: x.Value(name, f.Wanted), Doubt: f.Unknown, Answered: f.Answered, Refused: f.Attempts,
	}
	if f.TaskID != "" {
		r.Task = x.taskRecord(f.TaskID)
	}
	if !f.Late.IsZero() {
		r.Late = f.Late.UTC()
		if !x.ResendAt.IsZero() {
			r.ResendAt = x.ResendAt.UTC()
		}
	}
	if in := f.Intent; in != nil {
		r.Intent = &intentRecord{x.Value(name, in.Value), in.Sends, in.At.UTC(), in.Revision, x.taskRecord(in.TaskID)}
	}
	if f.Lock != nil {
		r.Lock, r.LockUntil = f.Lock.Why, f.Lock.Until.UTC()
	}
	return r
}

func (x *explanation) taskRecord(id string) *taskRecord {
	t := x.Tasks[id]
	r := &taskRecord{ID: id, Queue: t.Queue, State: t.State, Error: t.Error, Open: t.Open, Dead: t.Dead != nil}
	if slices.Contains([]string{"retry", "scheduled"}, t.State) {
		r.Next = t.Next.UTC()
	}
	return r
}
