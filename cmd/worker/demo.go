package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/spf13/cobra"

	"rollcall/internal/config"
	"rollcall/internal/console"
	"rollcall/internal/demo"
	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/redisdb"
	"rollcall/internal/sandbox"
	"rollcall/runs"
	"rollcall/tasks"
)

// demoTakes bounds the demo. It takes about a minute: 200 nicknames at 20 a second, and
// the waits of a few retries.
const demoTakes = 3 * time.Minute

// silent is above every level.
const silent = slog.LevelError + 100

// demoConfig is the configuration of the sample school, without the addresses.
const demoConfig = `
redis: {embedded: %q}
http: {listen: %q}
log: {level: info}
organisations:
  - name: lakeside
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[3]q, oapi: %[3]q, app_key: dingdemo, id_resend_after: 3s, app_secret: {env: DEMO_APP_SECRET}}
      - name: lakeside-classin
        classin: {base_url: %[3]q, sid: "1000082", secret: {env: DEMO_SCHOOL_SECRET}}
`

type demoOptions struct {
	stay    bool // keep running afterwards, with the web UI
	verbose bool
}

func (p *program) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Process the roster of a sample school, and compare",
		Long: `demo enqueues tasks of every kind for a sample school of 200 people, and carries
them out at both platforms, emulated on this machine. It then compares the
results with the platforms' own records. Some tasks must fail and some must be
retried. It exits with 1 if the comparison finds a difference.`,
		Example: "  worker demo\n  worker demo --stay",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runDemo(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.stay, "stay", false, "keep running afterwards, with the web UI, until interrupted")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show the worker's log")
	return cmd
}

// runDemo runs both platforms, a Redis and a worker in this process, processes the
// roster and compares the results.
func (p *program) runDemo(ctx context.Context, o demoOptions) error {
	platforms, err := startSandbox(sandbox.Config{
		World: demo.World(time.Now()), Scenario: demo.Scenario(), Seed: 1,
	}, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer platforms.close()
	cfg, err := p.parseDemoConfig(platforms.url, o.stay)
	if err != nil {
		return err
	}
	// While the tasks run, the progress is shown instead of the log.
	var level slog.LevelVar
	if !o.verbose {
		level.Set(silent)
	}
	w, err := newWorker(ctx, cfg, p.logger(config.Log{}, &level), &level)
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(ctx)
	readied := make(chan ready, 1)
	ended := make(chan error, 1)
	go func() { ended <- w.run(running, runtime{started: func(r ready) { readied <- r }}) }()
	var result error
	select {
	case r := <-readied:
		result = p.present(ctx, platforms, r)
		if result == nil && o.stay {
			result = p.stayUp(ctx, platforms, r, &level)
		}
	case err := <-ended:
		stop()
		return err
	}
	stop()
	return errors.Join(result, <-ended)
}

func (p *program) parseDemoConfig(platforms string, stay bool) (*config.Config, error) {
	redis, page := "127.0.0.1:0", "127.0.0.1:0"
	if stay {
		redis, page = "127.0.0.1:6390", "127.0.0.1:8080"
	}
	secrets := map[string]string{"DEMO_APP_SECRET": demo.AppSecret, "DEMO_SCHOOL_SECRET": demo.Secret}
	return config.Parse("demo", fmt.Appendf(nil, demoConfig, redis, page, platforms),
		func(name string) string { return secrets[name] })
}

// present prints the demo: the tasks, their progress, their results, and whether the
// platforms agree.
func (p *program) present(ctx context.Context, platforms *emulated, r ready) error {
	console.Fprintf(p.stdout, "rollcall demo: a school of 200 people, 6 chats and 8 courses; both platforms emulated at %s\n", platforms.url)
	console.Fprintf(p.stdout, "see it at work at %s (asynq's queues: %smonitor/)\n\n", r.page, r.page)
	bounded, cancel := context.WithTimeout(ctx, demoTakes)
	defer cancel()

	before, _ := platforms.State().Organisation(demo.Organisation)
	run, err := enqueueDemo(bounded, r.redis, platforms)
	if err != nil {
		return err
	}
	defer run.close()
	run.announce(p.stdout)
	if err := run.watch(bounded, p.stdout); err != nil {
		return err
	}
	outcomes, err := run.outcomes()
	if err != nil {
		return err
	}
	summarise(p.stdout, outcomes)
	after, _ := platforms.State().Organisation(demo.Organisation)
	return compare(p.stdout, demo.Believes(before.Organisation), demo.Believes(after.Organisation), outcomes, platforms, after)
}

// stayUp makes two runs, prints how to use the worker, and returns when ctx ends.
func (p *program) stayUp(ctx context.Context, platforms *emulated, r ready, level *slog.LevelVar) error {
	if err := makeDemoRuns(ctx, r.redis); err != nil && ctx.Err() == nil {
		return err
	}
	level.Set(slog.LevelInfo)
	console.Fprintf(p.stdout, "\nRunning until interrupted (Ctrl-C):\n  page       %[1]s\n"+
		"  runs       %[1]sruns: class-9b failed for one person, and can be taken back; class-9a waits for approval\n"+
		"  queues     %[1]smonitor/\n  platforms  %[2]s/_sandbox/\n"+
		"  enqueue    bin/enqueue nickname --redis %[3]s --tenant %[4]s --chat chat7Af3929 --user u001 \"7A 新名\"\n",
		r.page, platforms.url, r.redis.URL.Reveal(), demo.DingTalk)
	<-ctx.Done()
	return nil
}

// makeDemoRuns makes a run that ends with a failed row, waits for it, and makes another,
// which a guard holds.
func makeDemoRuns(ctx context.Context, at redisdb.Config) error {
	ctx, cancel := context.WithTimeout(ctx, demoTakes)
	defer cancel()
	options, err := at.Options()
	if err != nil {
		return err
	}
	client, err := runs.New(runs.Config{Redis: options})
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // everything was answered
	id, err := applyDemoRun(ctx, client, "class-9b", demo.Renames())
	if err != nil {
		return err
	}
	if _, err := client.Wait(ctx, id); err != nil {
		return err
	}
	_, err = applyDemoRun(ctx, client, "class-9a", demo.WholeClass())
	return err
}

// applyDemoRun makes a run, plans it and applies it, and returns its id.
func applyDemoRun(ctx context.Context, client *runs.Client, name string, requests []tasks.Request) (string, error) {
	const author = "demo"
	run, err := client.Create(ctx, runs.Draft{Name: name, Author: author})
	if err != nil {
		return "", err
	}
	rows := make([]runs.Row, len(requests))
	for i, request := range requests {
		rows[i].Request = request
	}
	if _, err := client.Add(ctx, run.ID, 0, rows); err != nil {
		return "", err
	}
	if _, err := client.Seal(ctx, run.ID, len(rows)); err != nil {
		return "", err
	}
	if run, err = client.Plan(ctx, run.ID, nil); err != nil {
		return "", err
	}
	_, err = client.Apply(ctx, run.ID, run.Plan.Digest, author)
	return run.ID, err
}

// demoRun is the roster while its tasks run.
type demoRun struct {
	client    *enqueue.Client
	inspector *asynq.Inspector
	requests  []tasks.Request
	results   []tasks.Result
}

func (r *demoRun) close() {
	_ = r.client.Close()
	_ = r.inspector.Close()
}

// enqueueDemo enqueues the change that a retry is to delay, waits until the platform has
// received it, and then enqueues the whole roster.
func enqueueDemo(ctx context.Context, at redisdb.Config, platforms *emulated) (*demoRun, error) {
	at.ClientName = "rollcall-demo"
	options, err := at.Options()
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, err
	}
	rdb, err := at.Open()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	run := &demoRun{client: client, inspector: asynq.NewInspector(redisdb.ConnOpt(rdb))}

	older := demo.Older()
	result, err := client.Enqueue(ctx, older.Task, older.Options)
	if err != nil {
		run.close()
		return nil, err
	}
	for platforms.Arrived() == 0 && ctx.Err() == nil {
		pause(ctx, 20*time.Millisecond)
	}
	requests := demo.Requests()
	run.requests = append([]tasks.Request{older}, requests...)
	run.results = append([]tasks.Result{result}, client.EnqueueAll(ctx, requests)...)
	for _, result := range run.results {
		if result.Err != nil {
			run.close()
			return nil, result.Err
		}
	}
	return run, nil
}

func (r *demoRun) announce(w io.Writer) {
	counts := map[tasks.Kind]int{}
	for _, request := range r.requests {
		counts[kindOf(request.Task)]++
	}
	var each []string
	for _, kind := range kinds.Names() {
		each = append(each, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	console.Fprintf(w, "enqueued %d tasks: %s\n", len(r.requests), strings.Join(each, ", "))
}

func kindOf(t tasks.Task) tasks.Kind {
	_, kind := t.Lane()
	return kind
}
