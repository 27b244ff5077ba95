// Package watch follows a run until it ends: with a bar on a terminal, with lines
// elsewhere, and in words what holds it back.
//
// It must not change a run.
package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/run"
)

const (
	// every is how often a run is read: its rows are counted in Redis. The first
	// readings follow one another faster: a short run is over at once.
	every, first = time.Second, 100 * time.Millisecond
	// details is how often dead letters and lanes are read.
	details = 5 * time.Second
)

// Run follows a run until it ends, needs a person, or the command is interrupted, and
// prints how it stands. Its error has the code session.Unfinished unless every row that
// was sent ended well.
func Run(ctx context.Context, s *session.Session, id string) error {
	v, err := follow(ctx, s, id)
	if errors.Is(err, context.Canceled) {
		console.Fprintf(s.Stderr, "\nthe run continues; to watch it: rollcall run watch %s\n", id)
		return &exitcode.Error{Code: session.Unfinished}
	}
	if err != nil {
		return err
	}
	if !s.JSON {
		end(s.NewPrinter(), v)
	}
	if v.run.State == run.StateDone && v.run.Outcomes[run.OutcomeFailed] == 0 {
		return nil
	}
	return &exitcode.Error{Code: session.Unfinished}
}

// follow shows a run until nothing more happens without a person.
func follow(ctx context.Context, s *session.Session, id string) (*view, error) {
	r := &reader{s: s, id: id}
	v, err := r.read(ctx)
	if err != nil || r.over(v) {
		return v, err
	}
	var out display = &lines{s: s}
	if screen := s.Stdout.Screen(); screen != nil && !s.JSON {
		out = newBar(screen)
	}
	wait := first
	for {
		out.show(v)
		if r.over(v) {
			out.end(true)
			return v, nil
		}
		select {
		case <-ctx.Done():
			out.end(false)
			return v, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, every)
		next, err := r.read(ctx)
		if err != nil && ctx.Err() == nil {
			if next = r.tolerate(v, err); next == nil {
				out.end(false)
				return v, err
			}
		}
		if next != nil {
			v = next
		}
	}
}

// display shows views of a run.
type display interface {
	show(v *view)
	end(complete bool)
}

// over reports whether nothing more is to be seen: the run has ended, or waits for a
// person. On a terminal somebody may be about to resume a paused run.
func (r *reader) over(v *view) bool {
	switch state := v.run.State; {
	case state.Ended(), !state.Applied():
		return true
	case state == run.StatePaused:
		return r.s.Stdout.Screen() == nil || r.s.JSON
	}
	return false
}

// end prints how a run stands, and the next command.
func end(p *cli.Printer, v *view) {
	Outcomes(p, v.run)
	for _, cause := range v.causes {
		p.Text(console.Yellow, 2, cause)
	}
	if next := Next(v.run); next != "" {
		console.Fprintln(p.Out, "next: "+next)
	}
}

// Outcomes prints the state of a run and its rows by outcome.
func Outcomes(p *cli.Printer, r run.Run) {
	text := fmt.Sprintf("run %s: %s", r.ID, r.State)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	if r.By != "" && (r.State == run.StatePaused || r.State == run.StateCancelled || r.State == run.StateRejected) {
		text += " (by " + r.By + ")"
	}
	p.Text(style(r), 0, text)
	for _, o := range run.Outcomes() {
		if n := r.Outcomes[o]; n > 0 {
			console.Fprintf(p.Out, "  %-10s %7d  %s\n", o, n, meaning(o))
		}
	}
}

func style(r run.Run) console.Style {
	switch {
	case r.State == run.StateDone && r.Outcomes[run.OutcomeFailed] == 0:
		return console.Green
	case r.State == run.StatePaused, r.State == run.StateHeld, r.State == run.StateDone:
		return console.Yellow
	}
	return console.Bold
}

// meaning explains an outcome in the table of counts.
func meaning(o run.Outcome) string {
	return map[run.Outcome]string{
		run.OutcomeWaiting:    "not sent yet",
		run.OutcomeOpen:       "in the queue of its lane, or running",
		run.OutcomeApplied:    "accepted by the platform",
		run.OutcomeUnchanged:  "had the value; no call was made",
		run.OutcomeSuperseded: "a later change wins; no call was made",
		run.OutcomeFailed:     "no retry will help",
		run.OutcomeCancelled:  "the run was cancelled before it was sent",
		run.OutcomeConflict:   "not sent: another row or change wants something else",
		run.OutcomeImpossible: "not sent: wrong, or cannot be carried out",
		run.OutcomeExcluded:   "not sent: left out by a person",
	}[o]
}

// Next is the command that a person most likely types next; empty: none.
func Next(r run.Run) string {
	switch {
	case r.State == run.StatePlanned && r.Plan != nil && r.Plan.Calls() > 0:
		return "rollcall apply " + r.ID
	case r.State == run.StateHeld:
		return "rollcall run approve " + r.ID + " --digest " + r.Plan.Digest[:min(len(r.Plan.Digest), 8)]
	case r.State == run.StatePaused:
		return "rollcall run resume " + r.ID
	case r.State.Applied():
		return "rollcall run watch " + r.ID
	case r.Outcomes[run.OutcomeFailed] > 0:
		return "rollcall run results " + r.ID + " --failed -o failed.xlsx"
	case r.State.Ended() && r.Outcomes[run.OutcomeApplied] > 0:
		return "rollcall run results " + r.ID
	}
	return ""
}
