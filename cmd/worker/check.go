package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/config"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
)

type checkOptions struct {
	file          string
	connect, json bool
}

// errWrong ends a check that found problems and has printed all of them.
var errWrong = errors.New("the check found problems; see above")

func (p *program) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration and show what would run",
		Long: `check reads a configuration as run does, starts nothing, and prints what would
run: lanes, schedules with their next times, listeners. It prints every problem
to standard error, with its line and what to do.

With --connect it also checks Redis (version, eviction, persistence, the user's
permissions) and requests a token for each DingTalk tenant. No metered call
is made.

Without --config it checks the configuration of the demo, which run would use.

Exit codes:
  0   no problems, perhaps warnings
  1   a problem outside the file: a roster, or a check of --connect
  64  wrong flags
  78  an invalid or unreadable file: run would refuse it`,
		Example: "  worker check --config /etc/rollcall/rollcall.yaml\n  worker check -c rollcall.yaml --connect --json | jq .lanes",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context(), o, time.Now()) },
	}
	cmd.Flags().StringVarP(&o.file, "config", "c", "", "configuration `file` (YAML)")
	cmd.Flags().BoolVar(&o.connect, "connect", false, "also check Redis and the credentials")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// checkResult is the result of a check, as --json prints it.
type checkResult struct {
	File     string           `json:"file,omitzero"`
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems,omitzero"` // of the file
	*plan
	Findings []finding `json:"findings,omitzero"` // of rosters, and of --connect
}

// finding is the result of a check outside the file.
type finding struct {
	Subject string  `json:"subject"` // "redis", or a name of the file
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
}

type verdict string

const (
	fine     verdict = "ok"
	warning  verdict = "warning"
	problem  verdict = "problem" // the worker would not work
	notTried verdict = "not tried"
)

func (p *program) check(ctx context.Context, o checkOptions, now time.Time) error {
	if o.file == "" && o.connect {
		return exitcode.AsUsage(errors.New("--connect needs --config: the demo has its own Redis and platforms"))
	}
	result := checkResult{File: o.file}
	cfg, err := p.readForCheck(ctx, o.file)
	wrong, judged := errors.AsType[*config.ProblemsError](err)
	switch {
	case judged:
		p.printError("", wrong)
		result.Problems = wrong.Problems
	case err != nil:
		p.printError("", err)
		result.Problems = []config.Problem{{Text: err.Error()}}
	default:
		result.plan, result.Findings = newPlan(cfg, now)
		for _, w := range cfg.Warnings() {
			result.Findings = append(result.Findings, finding{Subject: w.Subject, Verdict: warning, Text: w.Text})
		}
		if o.connect {
			result.Findings = append(result.Findings, tryAll(ctx, cfg)...)
		}
		for _, f := range result.Findings {
			if f.Verdict == problem {
				console.Fprintf(p.stderr, "%s: %s\n", f.Subject, f.Text)
				err = errWrong
			}
		}
	}
	result.OK = err == nil
	if err := result.describe(p.stdout, o.json); err != nil {
		return err
	}
	if len(result.Problems) > 0 {
		return exitcode.AsConfig(errWrong)
	}
	if !result.OK {
		return errWrong
	}
	return nil
}

func (p *program) readForCheck(ctx context.Context, file string) (*config.Config, error) {
	if file == "" {
		return p.parseDemoConfig("http://127.0.0.1:0", true)
	}
	return p.load(ctx, file)
}

func (o checkResult) describe(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(o)
	}
	if o.plan == nil {
		return nil
	}
	but := ""
	if !o.OK {
		but = ", but a worker would fail; the problems are at the end"
	}
	console.Fprintf(w, "%s is valid%s. A worker would run:\n\n", cmp.Or(o.File, "The configuration of the demo"), but)
	o.write(w)
	if len(o.Findings) > 0 {
		console.Fprintln(w)
		t := console.Columns(w)
		for _, f := range o.Findings {
			console.Row(t, f.Subject, string(f.Verdict), f.Text)
		}
		return t.Flush()
	}
	return nil
}
