package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/intake"
	"rollcall/internal/redisdb"
	"rollcall/internal/remote"
	"rollcall/internal/run"
	"rollcall/internal/upload"
	"rollcall/tasks"
)

// batch is the run of one file.
type batch struct {
	*app

	refused int // invalid rows, which are skipped
	runs    runs
}

// runs are where a file becomes a run: the service in Redis, or a client of the API.
type runs interface {
	upload.Runs
	Plan(ctx context.Context, id string, progress func(done, of int)) (run.Run, error)
	Apply(ctx context.Context, id, digest, by string) (run.Run, error)
	Reject(ctx context.Context, id, by, reason string) (run.Run, error)
	Get(ctx context.Context, id string) (run.Run, error)
	Results(ctx context.Context, id string) iter.Seq2[run.Result, error]
}

// apply uploads, plans and applies a file, and prints what became of it.
func (b *batch) apply(ctx context.Context, file *upload.File, judge intake.Judge, draft run.Draft, wait bool) error {
	made, err := file.Upload(ctx, b.runs, draft, judge, nil)
	if err == nil {
		made, err = b.runs.Plan(ctx, made.ID, nil)
	}
	if err != nil {
		return err
	}
	if made.Plan.Calls()+made.Plan.Counts[run.RowUnchanged] == 0 {
		made, err = b.runs.Reject(ctx, made.ID, draft.Author, "no row to send")
		if err != nil {
			return err
		}
		return b.report(ctx, made)
	}
	if !b.JSON { // before the run is applied, so that it is known after an interrupt
		console.Fprintln(b.Stdout, "run", made.ID)
	}
	if made, err = b.commit(ctx, made, draft.Author); err != nil {
		return err
	}
	if made.State == run.StateHeld {
		return b.held(made)
	}
	if wait {
		if made, err = b.await(ctx, made); err != nil {
			return err
		}
	}
	return b.report(ctx, made)
}

// tries is how often the step that applies a run is tried if its reply is lost.
const tries = 3

// commit applies a run. If every reply is lost, the run may be applied.
func (b *batch) commit(ctx context.Context, made run.Run, by string) (run.Run, error) {
	for n := 1; ; n++ {
		applied, err := b.runs.Apply(ctx, made.ID, made.Plan.Digest, by)
		if _, passing := redisdb.FaultOf(err); err == nil || !passing && !remote.Passing(err) {
			return applied, err
		}
		if n == tries {
			return applied, &exitcode.Error{Code: exitNotKnown, Err: fmt.Errorf("run %s may be applied or not: %w; rollcall run show %s says which", made.ID, err, made.ID)}
		}
		select {
		case <-ctx.Done():
			return applied, ctx.Err()
		case <-time.After(time.Duration(n) * time.Second):
		}
	}
}

// held reports the guards that hold a run.
func (b *batch) held(made run.Run) error {
	for _, g := range made.Plan.Objections() {
		console.Fprintf(b.Stderr, "held: %s; to accept it: --%s\n", g.What, g.Flag)
	}
	return unfinished("a guard holds the run, and nothing was sent: repeat the command with the flag, or rollcall run approve %s --digest %.8s",
		made.ID, made.Plan.Digest)
}

func unfinished(format string, args ...any) error {
	return &exitcode.Error{Code: exitRefused, Err: fmt.Errorf(format, args...)}
}

// await waits until a run has ended, or needs a person.
func (b *batch) await(ctx context.Context, made run.Run) (run.Run, error) {
	for made.State.Sends() {
		select {
		case <-ctx.Done():
			return made, unfinished("the run continues; to watch it: rollcall run watch %s", made.ID)
		case <-time.After(time.Second):
		}
		var err error
		if made, err = b.runs.Get(ctx, made.ID); err != nil {
			return made, err
		}
	}
	if made.State != run.StateDone {
		return made, unfinished("run %s is %s: %s; rollcall run show %s", made.ID, made.State, made.Reason, made.ID)
	}
	return made, nil
}

// report prints the rows that are asked for, the counts and the next command. If standard
// output cannot be written, the counts go to standard error.
func (b *batch) report(ctx context.Context, made run.Run) error {
	ended := made.State == run.StateDone
	if err := b.rows(ctx, made, ended); err != nil {
		return err
	}
	counts, wrong := b.counts(made, ended)
	switch {
	case b.JSON:
	case made.State == run.StateRejected:
		console.Fprintln(b.Stdout, counts)
	default: // in one write, so that a reader of one line gets both
		console.Fprintf(b.Stdout, "%s\nnext: rollcall run show %s\n", counts, made.ID)
	}
	if b.Stdout.Err() != nil {
		console.Fprintf(b.Stderr, "run %s: %s\n", made.ID, counts)
	}
	if wrong > 0 {
		return &exitcode.Error{Code: exitRefused}
	}
	return nil
}

// counts are the rows of a run as text: by outcome if it has ended, else by decision. wrong
// is how many of them a person should look at.
func (b *batch) counts(made run.Run, ended bool) (text string, wrong int) {
	var parts []string
	count := func(word string, n int, bad bool) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
		if bad {
			wrong += n
		}
	}
	if ended {
		for _, o := range run.Outcomes() {
			n := made.Outcomes[o]
			if o == run.OutcomeImpossible {
				n -= b.refused
			}
			count(string(o), n, o == run.OutcomeFailed || o == run.OutcomeConflict || o == run.OutcomeImpossible)
		}
	} else {
		for _, d := range run.Decisions() {
			n := made.Plan.Counts[d]
			if d == run.RowImpossible {
				n -= b.refused
			}
			count(string(d), n, d == run.RowConflict || d == run.RowImpossible)
		}
	}
	count(tasks.Refused.String(), b.refused, true)
	if len(parts) == 0 {
		parts = []string{"no rows"}
	}
	return strings.Join(parts, ", "), wrong
}

// mostProblems bounds how many rows are printed that are not sent.
const mostProblems = 20

// rows prints each row if they are asked for, else the first that are not sent, with the
// reason. Invalid rows are reported already.
func (b *batch) rows(ctx context.Context, made run.Run, ended bool) error {
	all, shown := b.verbose || b.JSON, 0
	if !all && made.Plan.Counts[run.RowConflict]+made.Plan.Counts[run.RowImpossible] == b.refused {
		return nil
	}
	for row, err := range b.runs.Results(ctx, made.ID) {
		if err != nil {
			return err
		}
		notSent := row.Decision == run.RowConflict || row.Decision == run.RowImpossible
		if len(row.Problems) > 0 || !all && !notSent {
			continue
		}
		if shown++; !all && shown > mostProblems {
			console.Fprintln(b.Stderr, "and more; rollcall run results", made.ID, "--failed shows all")
			return nil
		}
		b.row(made, row, ended)
	}
	return nil
}

func (b *batch) row(made run.Run, row run.Result, ended bool) {
	outcome, why := string(row.Decision), row.Why
	if ended {
		outcome = string(row.Outcome)
		if row.Message != "" {
			why = row.Message
		}
	}
	kind, tenant, target := describe(row.Request.Task)
	if b.JSON {
		rec := record{Line: row.Line, Kind: kind, Tenant: tenant, Target: target, Key: row.Request.Options.Key, Outcome: outcome, Run: made.ID}
		if rec.Error = why; row.Outcome.Final() && row.Outcome != run.OutcomeFailed && row.Decision.Calls() || !row.Outcome.Final() {
			rec.Error, rec.Warning = "", why
		}
		_ = b.PrintJSON(rec) // strings of a valid row always encode; the exit code reports an output error
		return
	}
	text := fmt.Sprintf("line %d: %s %s %s %s", row.Line, outcome, kind, tenant, target)
	switch row.Decision {
	case run.RowConflict, run.RowImpossible:
		console.Fprintf(b.Stderr, "%s: %s\n", text, console.Line(why))
	default:
		console.Fprintln(b.Stdout, text)
	}
}
