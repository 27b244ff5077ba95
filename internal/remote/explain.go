package remote

import (
	"context"
	"net/url"
	"time"

	"rollcall/internal/explain"
	"rollcall/internal/ledger"
)

// Sought names a target: by its lane and key, or by a task.
type Sought struct {
	Lane, Target string
	Task         string
	Personal     bool // people are not masked, if the token may see them
}

// found is what is known of a target as the API shows it.
type found struct {
	Lane     string           `json:"lane"`
	Target   string           `json:"target"`
	Revision int64            `json:"revision"`
	InFlight bool             `json:"in_flight"`
	Until    time.Time        `json:"until"`
	Settled  time.Time        `json:"settled"`
	Fields   []foundField     `json:"fields"`
	Sources  map[string]int64 `json:"sources"`
	Edits    []foundEdit      `json:"edits"`
	Effects  []foundEffect    `json:"effects"`
	Damaged  []foundDamage    `json:"damaged"`
	Tasks    []foundTask      `json:"tasks"`
	Dead     []deadView       `json:"dead_letters"`
	More     bool             `json:"more"`
	ResendAt time.Time        `json:"resend_at"`
}

type foundField struct {
	Name     string    `json:"name"`
	Latest   int64     `json:"latest"`
	TaskID   string    `json:"task_id"`
	Applied  int64     `json:"applied"`
	Value    string    `json:"value"`
	Wanted   string    `json:"wanted"`
	Unknown  int64     `json:"unknown"`
	Answered bool      `json:"answered"`
	Late     time.Time `json:"late"`
	Refused  int       `json:"refused"`
	Intent   *struct {
		Value    string    `json:"value"`
		Sends    int       `json:"sends"`
		At       time.Time `json:"at"`
		Revision int64     `json:"revision"`
		TaskID   string    `json:"task_id"`
	} `json:"intent"`
	Lock     string    `json:"lock"`
	LockEnds time.Time `json:"lock_until"`
}

type foundEdit struct {
	Revision int64  `json:"revision"`
	TaskID   string `json:"task_id"`
}

type foundEffect struct {
	At        time.Time         `json:"at"`
	Revision  int64             `json:"revision"`
	TaskID    string            `json:"task_id"`
	RequestID string            `json:"request_id"`
	Set       map[string]string `json:"set"`
	By        string            `json:"by"`
	Did       string            `json:"did"`
}

type foundDamage struct {
	Key  string `json:"key"`
	What string `json:"what"`
}

type foundTask struct {
	ID    string    `json:"id"`
	Queue string    `json:"queue"`
	State string    `json:"state"`
	Next  time.Time `json:"next"`
	Error string    `json:"error"`
	Open  bool      `json:"open"`
	Dead  *deadView `json:"dead_letter"`
}

func (f foundField) state() ledger.State {
	s := ledger.State{
		Latest: f.Latest, TaskID: f.TaskID, Applied: f.Applied, Value: f.Value, Wanted: f.Wanted, Unknown: f.Unknown, Answered: f.Answered,
		Late: f.Late, Attempts: f.Refused,
	}
	if in := f.Intent; in != nil {
		s.Intent = &ledger.Intent{Value: in.Value, Sends: in.Sends, At: in.At, Revision: in.Revision, TaskID: in.TaskID}
	}
	if f.Lock != "" {
		s.Lock = &ledger.LockedError{Why: f.Lock, Until: f.LockEnds}
	}
	return s
}

// Explain returns everything that is known of a target, and the name of its lane. People are
// masked by the API: the target shows what it has.
func (c *Client) Explain(ctx context.Context, s Sought) (lane string, of *explain.Target, err error) {
	query := url.Values{}
	for name, value := range map[string]string{"lane": s.Lane, "target": s.Target, "task": s.Task} {
		set(query, name, value)
	}
	if !s.Personal {
		query.Set("masked", "true")
	}
	var v found
	if _, err := c.do(ctx, get(query, "explanation"), &v); err != nil {
		return "", nil, err
	}
	if s.Personal {
		c.noteMasked(ctx)
	}
	x := &explain.Target{Personal: true, More: v.More, ResendAt: v.ResendAt, Tasks: map[string]explain.Task{}}
	x.Record = ledger.Record{
		Target: ledger.Target{Key: v.Target}, Revision: v.Revision, InFlight: v.InFlight, Until: v.Until, Settled: v.Settled, Sources: v.Sources,
		Fields: map[string]ledger.State{},
	}
	for _, f := range v.Fields {
		x.Record.Fields[f.Name] = f.state()
	}
	for _, e := range v.Edits {
		x.Record.Edits = append(x.Record.Edits, ledger.Position(e))
	}
	for _, e := range v.Effects {
		x.Record.Effects = append(x.Record.Effects, ledger.Event{
			At: e.At, Revision: e.Revision, TaskID: e.TaskID, RequestID: e.RequestID, Set: e.Set, By: e.By, Did: e.Did,
		})
	}
	for _, d := range v.Damaged {
		x.Record.Damaged = append(x.Record.Damaged, ledger.Damage{Key: d.Key, What: d.What})
	}
	for _, t := range v.Tasks {
		task := explain.Task{ID: t.ID, Queue: t.Queue, State: t.State, Next: t.Next, Error: t.Error, Open: t.Open}
		if t.Dead != nil {
			task.Dead = &t.Dead.DeadLetter
		}
		x.Tasks[t.ID] = task
	}
	for _, d := range v.Dead {
		x.Dead = append(x.Dead, d.DeadLetter)
	}
	return v.Lane, x, nil
}
