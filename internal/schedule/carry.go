package schedule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// mostProblems bounds the problems of a bad file in a result and in a log line.
const mostProblems = 20

// item is one task of a tick.
type item struct {
	position string // "line 7"; in a list of courses "course 561294"
	request  tasks.Request
	refusal  error // error of a row with an invalid form
}

// items returns what a tick enqueues. Each item has a key of its own, so that a tick
// that is carried out twice stores it once. The key depends on the task, because a
// roster may be corrected between two attempts. It replaces a key in the file, which
// would suppress the same row the next night.
func (p *planned) items(t Tick, open func(string) (*table.Input, error)) ([]item, error) {
	if p.Roster == "" {
		items := make([]item, len(p.Courses.IDs))
		for i, id := range p.Courses.IDs {
			task := tasks.CourseSync{Tenant: p.Courses.Tenant, CourseID: id}
			options := tasks.Options{Key: t.ID() + "/" + id, Run: t.RunName(), Row: i + 1}
			items[i] = item{position: "course " + id, request: tasks.Request{Task: task, Options: options}}
		}
		return items, nil
	}
	input, err := open(p.Roster)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: roster %s: %w: put the roster there, or correct its path in the configuration", t.Schedule, p.Roster, err)
	}
	defer input.Close() //nolint:errcheck // opened only for reading
	items, err := rosterItems(input, t)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: roster %s: %w; nothing of it was enqueued", t.Schedule, p.Roster, err)
	}
	return items, nil
}

func rosterItems(input *table.Input, t Tick) ([]item, error) {
	content, err := table.Open(input, table.Options{})
	if err != nil {
		return nil, err
	}
	// Delays count from the tick, so that a second attempt produces the same.
	file, err := roster.Open(content, roster.Options{Now: t.At})
	if err != nil {
		return nil, err
	}
	var items []item
	for row, err := range file.Rows() {
		if err != nil {
			return nil, err
		}
		if row.Line < tasks.MaxRows { // the results of the others are not stored
			row.Request.Options.Run, row.Request.Options.Row = t.RunName(), row.Line
		}
		row.Request.Options.Key = fmt.Sprintf("%s/%d/%s", t.ID(), row.Line, digest(row.Request.Task))
		items = append(items, item{position: fmt.Sprintf("line %d", row.Line), request: row.Request, refusal: row.Refusal(tasks.Limits{})})
	}
	return items, nil
}

// digest distinguishes what one line asked for at different times. It is empty for a
// task that is rejected anyway.
func digest(task tasks.Task) string {
	typename, content, err := kinds.Encode(task, 1)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(typename+"\n"), content...))
	return hex.EncodeToString(sum[:8])
}

// summary is the result of a tick, which asynqmon shows. It contains no names of
// people.
type summary struct {
	Schedule     string   `json:"schedule"`
	Tick         string   `json:"tick"`
	Tasks        int      `json:"tasks"`
	Stored       int      `json:"stored"`
	AlreadyThere int      `json:"already_there"`
	Outdated     int      `json:"outdated,omitzero"`
	Refused      int      `json:"refused"`
	NotStored    int      `json:"not_stored"`
	Problems     []string `json:"problems,omitempty"` // the first problems of refused rows
	NotShown     int      `json:"problems_not_shown,omitzero"`

	fault error // error of the first item that was not stored
}

func (s *summary) add(position string, result tasks.Result) {
	switch result.Outcome {
	case tasks.Stored:
		s.Stored++
	case tasks.AlreadyThere:
		s.AlreadyThere++
	case tasks.Outdated:
		s.Outdated++
	case tasks.Refused:
		s.Refused++
		s.refuse(position, result.Err)
	case tasks.NotStored, tasks.NotKnown:
		s.NotStored++
		if s.fault == nil {
			s.fault = result.Err
		}
	}
}

func (s *summary) refuse(position string, err error) {
	reasons := []string{}
	if invalid, ok := errors.AsType[*tasks.ValidationError](err); ok {
		for _, p := range invalid.Problems {
			reasons = append(reasons, roster.Position(p)+" "+p.What)
		}
	} else {
		reasons = append(reasons, err.Error())
	}
	if len(s.Problems) >= mostProblems {
		s.NotShown++
		return
	}
	s.Problems = append(s.Problems, position+": "+strings.Join(reasons, "; "))
}

// log logs the summary: a warning if a person must correct a file.
func (s *summary) logTo(log *slog.Logger) {
	level, attrs := slog.LevelInfo, []any{
		"tasks", s.Tasks, "stored", s.Stored,
		"already_there", s.AlreadyThere, "refused", s.Refused, "not_stored", s.NotStored,
	}
	if s.Refused > 0 || s.Tasks == 0 {
		level = slog.LevelWarn
		attrs = append(attrs, "problems", s.Problems, "problems_not_shown", s.NotShown)
	}
	log.Log(context.Background(), level, "schedule: carried out", attrs...)
}

// result returns the summary as that of a job.
func (s *summary) result() Result {
	text := fmt.Sprintf("%s: %d stored, %d already there, %d refused", console.Count(s.Tasks, "task"), s.Stored, s.AlreadyThere, s.Refused)
	if s.Outdated > 0 {
		text += fmt.Sprintf(", %d outdated", s.Outdated)
	}
	if s.NotStored > 0 {
		text += fmt.Sprintf(", %d not stored", s.NotStored)
	}
	return Result{Text: text, Detail: s, Attention: s.Refused > 0 || s.Tasks == 0}
}

// enqueue enqueues the items. Items for one target are stored in order, and none after
// one that was not stored: the next attempt would store that one last, and the earlier
// change would win.
func (c *carrier) enqueue(ctx context.Context, t Tick, items []item) *summary {
	s := &summary{Schedule: t.Schedule, Tick: strings.TrimPrefix(t.ID(), t.Schedule+"@"), Tasks: len(items)}
	results := make([]tasks.Result, len(items))
	for wave := byTarget(items, results); len(wave) > 0; {
		requests := make([]tasks.Request, len(wave))
		for i, rows := range wave {
			requests[i] = items[rows[0]].request
		}
		var next [][]int
		for i, result := range c.producer.EnqueueAll(ctx, requests) {
			rows := wave[i]
			results[rows[0]] = result
			rest := rows[1:]
			if result.Outcome == tasks.NotStored || result.Outcome == tasks.NotKnown {
				for _, row := range rest {
					results[row] = result
				}
				continue
			}
			if len(rest) > 0 {
				next = append(next, rest)
			}
		}
		wave = next
	}
	for i, result := range results {
		s.add(items[i].position, result)
	}
	return s
}

// byTarget groups the items by target, in the order of each target's first item.
// Invalid items get their result here.
func byTarget(items []item, results []tasks.Result) [][]int {
	var groups [][]int
	at := make(map[any]int, len(items)) // by ledger.Target, which this package need not know
	for i, it := range items {
		if it.refusal != nil {
			results[i] = tasks.Result{Outcome: tasks.Refused, Err: it.refusal}
			continue
		}
		target, _ := kinds.Change(it.request.Task, "")
		n, there := at[target]
		if !there {
			n = len(groups)
			at[target], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}
