package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/console"
	"rollcall/internal/demo"
	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/outcome"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// watch prints the progress until all tasks are done or dead letters.
func (r *demoRun) watch(ctx context.Context, w io.Writer) error {
	start := time.Now()
	for tick := 0; ; tick++ {
		done, dead, waiting, err := r.count()
		if err != nil {
			return err
		}
		over := done+dead == len(r.requests)
		line := fmt.Sprintf("%4.0fs  %3d done  %2d dead letters  %2d waiting for a retry  %3d left",
			time.Since(start).Seconds(), done, dead, waiting, len(r.requests)-done-dead)
		if over || tick%5 == 0 {
			console.Fprintln(w, line)
		}
		if over {
			return nil
		}
		pause(ctx, 500*time.Millisecond)
		if ctx.Err() != nil {
			console.Fprintln(w)
			return fmt.Errorf("demo ended with %d tasks left: %w", len(r.requests)-done-dead, ctx.Err())
		}
	}
}

func (r *demoRun) count() (done, dead, waiting int, err error) {
	queues := map[string]bool{}
	for _, result := range r.results {
		queues[result.Queue] = true
	}
	for queue := range queues {
		info, err := r.inspector.GetQueueInfo(queue)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("read queue %s: %w", queue, err)
		}
		done += info.Completed
		dead += info.Archived
		waiting += info.Retry
	}
	return done, dead, waiting, nil
}

// outcomes reads the result of each task from asynq.
func (r *demoRun) outcomes() ([]demo.Outcome, error) {
	outcomes := make([]demo.Outcome, len(r.requests))
	for i, request := range r.requests {
		result := r.results[i]
		info, err := r.inspector.GetTaskInfo(result.Queue, result.TaskID)
		if err != nil {
			return nil, fmt.Errorf("read task %s: %w", result.TaskID, err)
		}
		o := demo.Outcome{Task: request.Task, Revision: result.Revision}
		switch info.State {
		case asynq.TaskStateCompleted:
			var report handler.Report
			if err := json.Unmarshal(info.Result, &report); err != nil {
				return nil, fmt.Errorf("task %s: its result %q: %w", result.TaskID, info.Result, err)
			}
			o.Result, o.Took = demo.ResultNoCall, report.Took
			if report.Outcome == handler.Applied {
				o.Result = demo.ResultApplied
			}
		case asynq.TaskStateArchived:
			o.Result, o.Cause = demo.ResultDead, info.LastErr
			if strings.HasPrefix(info.LastErr, string(outcome.Unverified)) {
				o.Result = demo.ResultUnverified
			}
		default:
			return nil, fmt.Errorf("task %s is neither completed nor archived, but %s", result.TaskID, info.State)
		}
		outcomes[i] = o
	}
	return outcomes, nil
}

// summarise prints a line for each kind, then the dead letters with their causes.
func summarise(w io.Writer, outcomes []demo.Outcome) {
	counts := map[tasks.Kind]map[demo.Result]int{}
	for _, o := range outcomes {
		kind := kindOf(o.Task)
		if counts[kind] == nil {
			counts[kind] = map[demo.Result]int{}
		}
		counts[kind][o.Result]++
	}
	console.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	console.Fprintf(table, "kind\tapplied\tno call needed\tdead letter\tunverified\t\n")
	for _, kind := range kinds.Names() {
		c := counts[kind]
		console.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", kind, c[demo.ResultApplied], c[demo.ResultNoCall], c[demo.ResultDead], c[demo.ResultUnverified])
	}
	_ = table.Flush()

	console.Fprintf(w, "\ndead letters, each for a person to settle:\n")
	for _, o := range outcomes {
		if o.Cause != "" {
			target, _ := kinds.Change(o.Task, demo.Organisation)
			console.Fprintf(w, "  %-8s %-20s %s\n", kindOf(o.Task), target.Key, o.Cause)
		}
	}
}

// compare compares the reported results with the platforms' records.
func compare(
	w io.Writer, before, after demo.Believed, outcomes []demo.Outcome, platforms *emulated, org sandbox.OrganisationState,
) error {
	calls, throttled := 0, 0
	for _, c := range platforms.Calls() {
		if c.API != sandbox.APIToken {
			calls++
		}
		if strings.Contains(c.Code, "90018") || strings.Contains(c.Code, "QpsLimit") {
			throttled++
		}
	}
	console.Fprintf(w, "\nthe platforms received %d calls (%d refused for their rate) and made %d changes; %d count against DingTalk's monthly quota\n",
		calls, throttled, len(platforms.Effects()), org.Spent)
	wrong := demo.Disagreements(before, after, outcomes)
	for _, line := range wrong {
		console.Fprintln(w, "  DIFFERENT  "+line)
	}
	if len(wrong) > 0 {
		return errors.New("the results and the platforms' records differ; see the lines above")
	}
	console.Fprintf(w, "compared %d names, owners, options, IDs and courses: the results and the platforms' records agree\n", len(after))
	return nil
}
