package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/config"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/metrics"
	"rollcall/internal/monitor"
	"rollcall/internal/night"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	runs "rollcall/internal/run"
	"rollcall/internal/schedule"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/internal/webhook"
	"rollcall/tasks"
)

// worker holds the parts of one process. They are closed in the reverse order of their
// creation.
type worker struct {
	cfg      *config.Config // read by the goroutine of run alone: a reload replaces it
	log      *slog.Logger
	redis    redisdb.Config
	password atomic.Pointer[secret.Text] // of Redis, as last loaded
	rdb      redis.UniversalClient
	record   *ledger.Ledger
	lanes    *lane.Set
	sweeper  *sweep.Sweeper
	address  *pace.Address // shared by all DingTalk lanes
	schedule *schedule.Schedule
	nights   *night.Service
	feeder   *runs.Feeder
	watcher  *runs.Watcher
	runs     *runs.Service
	producer *enqueue.Client // of runs and the API
	hooks    *webhook.Service
	tokens   *access.Tokens
	users    *access.Users
	trail    *access.Trail
	ready    *monitor.Readiness
	counts   *metrics.Metrics
	page     *monitor.Server       // nil: off
	state    *overview.Reader      // of the page; nil: off
	tls      *monitor.TLS          // of the page; nil: off
	tenants  map[string]connection // by name
	closers  []func()
}

// newWorker builds every part. It connects to nothing but the embedded Redis, and
// listens on the port of the page. The page can change level, the log's level. On an
// error it closes every part that it opened.
func newWorker(ctx context.Context, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (*worker, error) {
	w := &worker{cfg: cfg, log: log, tenants: map[string]connection{}}
	if err := w.build(ctx, level); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// tryWiring returns an error if a part of a worker refuses its configuration. It connects
// to nothing and binds no port.
func tryWiring(ctx context.Context, cfg *config.Config) error {
	dry := *cfg
	dry.HTTP.Listen, dry.HTTP.TLS = config.Off, nil
	if dry.Redis.Embedded != "" {
		dry.Redis = config.Redis{URL: "redis://" + dry.Redis.Embedded}
	}
	w, err := newWorker(ctx, &dry, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	w.close()
	return pageConfig(cfg).Check()
}

func (w *worker) build(ctx context.Context, level *slog.LevelVar) error {
	cfg, log := w.cfg, w.log
	if err := w.openRedis(); err != nil {
		return err
	}
	w.ready = monitor.NewReadiness(w.rdb)
	shared := redisdb.NewAutopipeline(w.rdb)
	w.record = ledger.NewShared(w.rdb, shared)
	w.record.KeepRuns(w.keepRuns())
	w.lanes = lane.NewSet(w.rdb, shared, w.record, workerName(), log)
	w.address = pace.NewAddress(w.rdb, cfg.Egress.Name, pace.Limit{Calls: cfg.Egress.Calls, Per: time.Duration(cfg.Egress.Per)})
	for org, tenant := range cfg.Tenants() {
		if err := w.addTenant(org, tenant); err != nil {
			return exitcode.AsConfig(err)
		}
	}
	w.counts = metrics.New(metrics.Config{
		Lanes: w.lanes.Lanes(), Redis: w.rdb, Ready: w.ready.Check,
		Codes: platformCodes(), Webhooks: webhookNames(cfg), Log: log,
	})
	w.lanes.Observe(w.counts)
	w.sweeper = sweep.New(sweep.Config{
		Redis: w.rdb, Ledger: w.record, Lanes: w.lanes, Observer: w.counts, Log: log, Rescue: []string{runs.Queue, webhook.Queue},
		Restore: w.restoreCall,
	})
	if err := w.openRuns(); err != nil {
		return err
	}
	w.openNights()
	if err := w.openSchedule(); err != nil {
		return err
	}
	w.openWebhooks()
	w.openAccess()
	if cfg.HTTP.Listen == config.Off && cfg.HTTP.TLS == nil {
		return nil
	}
	return w.openPage(ctx, level)
}

// keepRuns is how long runs and results are kept.
func (w *worker) keepRuns() time.Duration { return time.Duration(w.cfg.Runs.Keep) * 24 * time.Hour }

func (w *worker) onClose(f func()) { w.closers = append(w.closers, f) }

func (w *worker) close() {
	for _, c := range slices.Backward(w.closers) {
		c()
	}
}

// openSchedule builds the schedule even without entries: a reload may add some.
func (w *worker) openSchedule() error {
	options, err := w.options("rollcall-schedule")
	if err != nil {
		return err
	}
	entries, err := w.scheduleEntries(w.cfg)
	if err != nil {
		return exitcode.AsConfig(err)
	}
	w.schedule, err = schedule.New(schedule.Config{Entries: entries, Redis: options, Worker: workerName(), Log: w.log})
	return exitcode.AsConfig(err)
}

// openRuns builds what feeds the runs that were applied, and what their rows are checked
// by before they are sent.
func (w *worker) openRuns() error {
	var err error
	if w.producer, err = w.newProducer("rollcall-runs", enqueue.Config{}); err != nil {
		return err
	}
	w.onClose(func() { _ = w.producer.Close() })
	w.watcher = runs.NewWatcher(w.rdb, w.log)
	w.lanes.SetRuns(w.watcher)
	w.runs = runs.New(runs.Config{Redis: w.rdb, Ledger: w.record, Keep: w.keepRuns()})
	w.feeder = runs.NewFeeder(runs.FeederConfig{Service: w.runs, Producer: w.producer, Log: w.log, Fed: w.counts.Fed, RedisFault: redisdb.Mentions})
	return nil
}

// scheduleEntries returns the schedules of a configuration.
func (w *worker) scheduleEntries(cfg *config.Config) ([]schedule.Entry, error) {
	entries := make([]schedule.Entry, len(cfg.Schedules))
	for i, s := range cfg.Schedules {
		entries[i] = scheduleEntry(s)
		if s.Source == nil {
			continue
		}
		n, err := w.nightOf(cfg, s)
		if err != nil {
			return nil, err
		}
		entries[i].Job = nightJob{nights: w.nights, night: n}
	}
	return entries, nil
}

// scheduleEntry returns an entry that shows when it is due. The job of a nightly sync is empty.
func scheduleEntry(s config.Schedule) schedule.Entry {
	entry := schedule.Entry{
		Name: s.Name, Cron: s.Cron, Zone: s.Zone, Jitter: time.Duration(s.Jitter), Overlap: schedule.Overlap(s.Overlap),
		MisfireWindow: time.Duration(s.MisfireWindow), Roster: s.Roster,
	}
	if s.Courses != nil {
		entry.Courses = schedule.Courses{Tenant: s.Courses.Tenant, IDs: s.Courses.IDs}
	}
	if s.Source != nil {
		entry.Job, entry.Does = nightJob{}, "nightly sync of "+describeSource(s)
	}
	return entry
}

// pageConfig returns the configuration of the page.
func pageConfig(cfg *config.Config) monitor.Config {
	page := monitor.Config{
		Address: cfg.HTTP.Listen, Users: accounts(cfg), Writable: cfg.HTTP.Writable, ShowPersonalData: cfg.HTTP.ShowPersonalData,
	}
	if page.Address == config.Off {
		page.Address = ""
	}
	return page
}

func (w *worker) openPage(ctx context.Context, level *slog.LevelVar) error {
	page := pageConfig(w.cfg)
	if err := page.Check(); err != nil {
		return exitcode.AsConfig(err)
	}
	if t := w.cfg.HTTP.TLS; t != nil {
		certificate, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return exitcode.AsConfig(fmt.Errorf("http.tls: %w", err))
		}
		w.tls = monitor.NewTLS(t.Listen, certificate)
	}
	page.TLS, page.API = w.tls, w.guard().Handler(w.api())
	page.UI, page.Login = w.ui()
	client, err := w.newClient("rollcall-monitor")
	if err != nil {
		return err
	}
	page.Redis, page.PlainTypes = redisdb.ConnOpt(client), []string{schedule.Type, webhook.Type}
	page.Notes = w.lanes.DamagedLanes
	page.Metrics, page.Ready, page.Level, page.Log = w.counts.Handler(), w.ready.Check, level, w.log
	page.Audit = w.auditChange
	if w.page, err = page.Listen(ctx); err != nil {
		return errors.Join(err, client.Close())
	}
	return nil
}

// reload applies the changes that a running worker can apply: limits, quotas, schedules,
// tokens, webhooks, certificates and rotated secrets. Other changes are logged and need a restart.
func (w *worker) reload(ctx context.Context, load func() (*config.Config, error)) {
	next, err := load()
	if err != nil {
		w.log.Error("configuration not reloaded; the old one stays in use", "err", err)
		return
	}
	reloadable, needsRestart := config.Changes(w.cfg, next)
	for _, line := range needsRestart {
		w.log.Warn("configuration change needs a restart", "change", line)
	}
	entries, err := w.scheduleEntries(next)
	if err == nil {
		err = w.schedule.Replace(entries)
	}
	if err != nil {
		w.log.Error("schedules not reloaded; the old ones stay in use", "err", err)
		return
	}
	w.takeLimits(ctx, next)
	before := w.cfg
	// The next reload compares with the configuration in use.
	w.cfg = config.TakeOver(before, next)
	w.takeSecrets(ctx, before)
	w.takeAccess()
	w.knowNights(next)
	for _, line := range reloadable {
		w.log.Info("reloaded", "change", line)
	}
	w.log.Info("configuration reloaded", "taken_over", len(reloadable), "need_a_restart", len(needsRestart))
}

// takeLimits gives the lanes the limits and quotas of a new configuration. A new lane
// needs a restart, which reload has logged.
func (w *worker) takeLimits(ctx context.Context, next *config.Config) {
	for _, org := range next.Organisations {
		err := w.lanes.SetQuota(ctx, org.Name, paceQuota(org.Quota))
		for _, t := range org.Tenants {
			for _, l := range t.Platform().Lanes {
				_, limitErr := w.lanes.SetLimits(ctx, t.Name, tasks.Kind(l.Kind), paceLimits(l.Limits))
				err = errors.Join(err, limitErr)
			}
		}
		if err != nil {
			w.log.Warn("new limits in use, but not published: rollcall lanes shows the old ones until Redis is back", "organisation", org.Name, "err", err)
		}
	}
}

func paceLimits(limits config.Limits) []pace.Limit {
	all := make([]pace.Limit, len(limits))
	for i, l := range limits {
		all[i] = pace.Limit{Calls: l.Calls, Per: time.Duration(l.Per), Burst: l.Burst, Window: pace.Window(l.Window)}
	}
	return all
}

// paceQuota converts percentages to calls.
func paceQuota(q config.Quota) pace.Quota {
	return pace.Quota{Calls: q.Calls, Warn: q.Calls * q.Warn / 100, Reserve: q.Calls * q.Reserve / 100}
}

// workerName identifies this worker in events and holds.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// publish writes the served lanes to Redis, so that producers can refuse other lanes.
func (w *worker) publish(ctx context.Context) error {
	var served []registry.Lane
	for org, t := range w.cfg.Tenants() {
		platform := t.Platform()
		for _, l := range platform.Lanes {
			s := registry.Lane{Organisation: org.Name, Tenant: t.Name, Kind: tasks.Kind(l.Kind)}
			if platform.Metered {
				s.Address = w.cfg.Egress.Name
			}
			if s.Kind == tasks.KindNickname {
				s.NicknameMax = platform.NicknameMax
			}
			served = append(served, s)
		}
	}
	if err := registry.Publish(ctx, w.rdb, served); err != nil {
		return fmt.Errorf("publish the served lanes: %w", err)
	}
	return nil
}
