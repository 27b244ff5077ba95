package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	runs "rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/sweep"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

const (
	// perChat is how many people are in a chat.
	perChat = 50
	// changedShare of the roster changes every night.
	changedShare = 0.01
	// faultyShare of the calls meet a fault.
	faultyShare = 0.02
	// lands is how long the platform may carry out a request that was given up.
	lands = 2 * time.Second
	// nightBound is how long a night may take: one that hangs is an error, a busy machine is not.
	nightBound = 10 * time.Minute
)

// nightlyActs are the figures of nightly syncs.
func nightlyActs() []act {
	return []act{
		{{{names: []string{"nightly.calls_per_change"}, play: nightCalls}}},
		{{{names: []string{
			"nightly.faulty.calls_per_change", "nightly.faulty.first_calls_per_change", "nightly.faulty.repeats", "nightly.faulty.confirmations",
		}, play: faultyNightCalls}}},
		{{{names: []string{"nightly.difference_seconds", "nightly.difference_cpu_seconds", "nightly.difference_mib"}, play: nightDifference}}},
	}
}

// nightCalls compares what a month of nights costs at a platform without faults.
func nightCalls(ctx context.Context, t *theatre) ([]result, error) {
	ours, peer, err := t.nights(ctx, 0)
	if err != nil {
		return nil, err
	}
	return []result{{"nightly.calls_per_change", ours.perChange(ours.calls), peer.perChange(peer.calls), "calls", t.loopIs()}}, nil
}

// faultyNightCalls does the same at a platform with faults. First calls are those of a
// value that the platform had not been called about, repeats follow a call that failed or
// had no answer, and confirmations a call that had been answered.
func faultyNightCalls(ctx context.Context, t *theatre) ([]result, error) {
	ours, peer, err := t.nights(ctx, faultyShare)
	if err != nil {
		return nil, err
	}
	peerIs := t.loopIs()
	return []result{
		{"nightly.faulty.calls_per_change", ours.perChange(ours.calls), peer.perChange(peer.calls), "calls", peerIs},
		{"nightly.faulty.first_calls_per_change", ours.perChange(ours.first), peer.perChange(peer.first), "calls", peerIs},
		{"nightly.faulty.repeats", 100 * ours.perChange(ours.repeats), 100 * peer.perChange(peer.repeats), "%", peerIs},
		{"nightly.faulty.confirmations", 100 * ours.perChange(ours.confirmations), 100 * peer.perChange(peer.confirmations), "%", peerIs},
	}, nil
}

func (t *theatre) loopIs() string {
	return fmt.Sprintf("a loop that sends each of %d rows every night, for %d nights", t.tempo.people, t.tempo.nights)
}

// nights compares a month of nights with a loop, over the same changes.
func (t *theatre) nights(ctx context.Context, faults float64) (ours, peer counted, err error) {
	if ours, err = t.ourNights(ctx, faults); err != nil {
		return ours, peer, err
	}
	peer, err = t.loopedNights(ctx, faults)
	return ours, peer, err
}

// counted are metered calls, as the platform counts them.
type counted struct{ needed, calls, first, repeats, confirmations int }

func (c counted) perChange(n int) float64 { return float64(n) / float64(c.needed) }

// school is a roster that changes, and a platform with its people.
type school struct {
	names  []string // by person
	random *rand.Rand
	needed int
	box    *sandbox.Sandbox
	server *http.Server
	url    string
}

func newSchool(people int, faults float64) (*school, error) {
	s := &school{names: make([]string, people), random: rand.New(rand.NewPCG(7, 7)), needed: people} //nolint:gosec // keeps no secret
	org := sandbox.Organisation{Name: organisation, Apps: []sandbox.App{{Key: "bench", Secret: "bench"}}, Quota: -1, Employees: []sandbox.Employee{{UserID: "owner", EnterpriseAccount: true}}}
	for i := range people {
		s.names[i] = fmt.Sprintf("张三 %d", i)
		chat, user := s.place(i)
		org.Employees = append(org.Employees, sandbox.Employee{UserID: user, EnterpriseAccount: true})
		if i%perChat == 0 {
			org.Chats = append(org.Chats, sandbox.Chat{ID: chat, Name: chat, Owner: "owner", Members: []sandbox.Member{{UserID: "owner"}}})
		}
		last := &org.Chats[len(org.Chats)-1]
		last.Members = append(last.Members, sandbox.Member{UserID: user})
	}
	limits := sandbox.Limits{Windows: map[string][]sandbox.Window{sandbox.APIGroupNick: {}}, MonthlyQuota: -1, Address: sandbox.Window{Calls: -1}}
	box, err := sandbox.New(sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{org}}, Limits: limits, Seed: 7, KeepCalls: 1 << 20})
	if err != nil {
		return nil, err
	}
	s.box = box
	for _, f := range faultsOf(faults) {
		if _, err := box.Arm(f); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		box.Close()
		return nil, err
	}
	s.url = "http://" + listener.Addr().String()
	s.server = &http.Server{Handler: box, ReadHeaderTimeout: callTimeout}
	go func() { _ = s.server.Serve(listener) }() // ends with Close alone
	return s, nil
}

// faultsOf are faults of a share of the calls in all, of five kinds alike.
func faultsOf(share float64) []sandbox.Fault {
	if share == 0 {
		return nil
	}
	all := []sandbox.Fault{
		{Kind: sandbox.FaultAnswer, Code: "-1"},
		{Kind: sandbox.FaultAnswer, Code: "-1", Applied: true},
		{Kind: sandbox.FaultOutage},
		{Kind: sandbox.FaultReset, Applied: true},
		{Kind: sandbox.FaultTruncated},
	}
	for i := range all {
		all[i].API, all[i].Share = sandbox.APIGroupNick, share/float64(len(all))
	}
	return all
}

func (s *school) close() error {
	s.box.Close()
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

func (s *school) place(i int) (chat, user string) {
	return fmt.Sprintf("chat%04d", i/perChat), fmt.Sprintf("user%05d", i)
}

// change gives a share of the people other names.
func (s *school) change(night int) {
	for _, i := range s.random.Perm(len(s.names))[:int(changedShare*float64(len(s.names)))] {
		s.names[i] = fmt.Sprintf("张三 %d, %d", i, night)
		s.needed++
	}
}

// Read implements source.Source.
func (s *school) Read(_ context.Context, each func(columns []string, r source.Record) error) (source.Reading, error) {
	columns := []string{"chat_id", "user_id", "nickname"}
	for i, name := range s.names {
		chat, user := s.place(i)
		if err := each(columns, source.Record{At: fmt.Sprintf("line %d", i+2), Fields: []string{chat, user, name}}); err != nil {
			return source.Reading{}, err
		}
	}
	return source.Reading{Columns: columns, Complete: true}, nil
}

// count counts the metered calls, and fails unless the platform has all names of the roster.
func (s *school) count() (counted, error) {
	org, _ := s.box.State().Organisation(organisation)
	for i, want := range s.names {
		chat, user := s.place(i)
		if got, _ := org.Nick(chat, user); got != want {
			return counted{}, fmt.Errorf("%s of %s is %q on the platform, and %q in the roster", user, chat, got, want)
		}
	}
	c := counted{needed: s.needed}
	type value struct{ chat, user, name string }
	values := map[int64]value{} // by call
	for _, e := range s.box.Effects() {
		for _, change := range e.Changes {
			values[e.Call] = value{e.Target.Chat, e.Target.User, change.New}
		}
	}
	answered, open := map[value]bool{}, map[[2]string]bool{}
	for _, call := range s.box.Calls() {
		if !call.Metered || call.API != sandbox.APIGroupNick {
			continue
		}
		c.calls++
		who, v := [2]string{call.Target.Chat, call.Target.User}, values[call.Number]
		switch {
		case open[who]:
			c.repeats++
		case answered[v] && v.name != "":
			c.confirmations++
		default:
			c.first++
		}
		open[who] = call.Code != "0" || call.Fault != ""
		if !open[who] {
			answered[v] = true
		}
	}
	return c, nil
}

func (s *school) client() (*dingtalk.Client, error) {
	return dingtalk.New(dingtalk.Config{Tenant: tenant, AppKey: "bench", AppSecret: secret.New("bench"), API: s.url, OAPI: s.url, Timeout: callTimeout})
}

// loopedNights is the peer. It repeats a call that fails at once.
func (t *theatre) loopedNights(ctx context.Context, faults float64) (c counted, err error) {
	s, err := newSchool(t.tempo.people, faults)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	client, err := s.client()
	if err != nil {
		return c, err
	}
	defer client.Close()
	leave := func(context.Context) error { return nil }
	for n := range t.tempo.nights {
		if n > 0 {
			s.change(n)
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(writers)
		for i, name := range s.names {
			group.Go(func() error {
				chat, user := s.place(i)
				for ctx.Err() == nil {
					if _, err := client.UpdateGroupNick(ctx, leave, dingtalk.GroupNick{ChatID: chat, UserID: user, Nick: name}); err == nil {
						return nil
					}
				}
				return ctx.Err()
			})
		}
		if err := group.Wait(); err != nil {
			return c, err
		}
	}
	return s.count()
}

// ourNights carries out nights one after the other, as the worker does.
func (t *theatre) ourNights(ctx context.Context, faults float64) (c counted, err error) {
	s, err := newSchool(t.tempo.people, faults)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	err = withStore(ctx, func(store *store, address string) (err error) {
		stop, err := s.work(address)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		record, now := ledger.New(store.rdb), time.Now()
		nights := night.New(night.Config{
			Redis: store.rdb, Ledger: record, Runs: runs.New(runs.Config{Redis: store.rdb, Ledger: record}), Now: func() time.Time { return now },
		})
		what := night.Night{Name: "nightly", Source: s, Rule: night.Columns{Tenant: tenant}}
		for n := range t.tempo.nights {
			if now = now.Add(24 * time.Hour); n > 0 {
				s.change(n)
			}
			if err := t.oneNight(ctx, nights, what, now); err != nil {
				return fmt.Errorf("night %d: %w", n+1, err)
			}
		}
		if err := t.confirmed(ctx, record); err != nil {
			return err
		}
		c, err = s.count()
		return err
	})
	return c, err
}

// oneNight carries out a night, and waits for its end.
func (t *theatre) oneNight(ctx context.Context, nights *night.Service, what night.Night, tick time.Time) error {
	report, err := nights.Run(ctx, what, tick)
	for until := time.Now().Add(nightBound); err == nil && !report.Final(); pause(ctx, 50*time.Millisecond) {
		if len(report.Decide) > 0 {
			return fmt.Errorf("it is %s: %v", report.State, report.Decide)
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("it is %s after %s", report.State, nightBound), context.Cause(ctx))
		}
		if err = nights.Settle(ctx); err != nil {
			return err
		}
		var history []night.Report
		if history, err = nights.History(ctx, what.Name); err == nil {
			report = history[0]
		}
	}
	if err == nil && (report.State != night.StateDone || len(report.Failed) > 0) {
		err = fmt.Errorf("it ended as %+v", report)
	}
	return err
}

// confirmed waits until nothing is left that an earlier send may overwrite.
func (t *theatre) confirmed(ctx context.Context, record *ledger.Ledger) error {
	sender := ledger.Sender{Organisation: organisation, API: string(tasks.KindNickname), Tenant: tenant}
	for until := time.Now().Add(nightBound); ; pause(ctx, 100*time.Millisecond) {
		found := record.LateTargets(ctx, time.Now(), 1, sender)[0]
		if found.Err != nil || found.Waiting == 0 {
			return found.Err
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("%d names were not confirmed within %s", found.Waiting, nightBound), context.Cause(ctx))
		}
	}
}

// work starts a lane with what feeds it, as the worker connects them.
func (s *school) work(address string) (stop func() error, err error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	rdb, err := redisdb.Open("redis://" + address + "/0")
	if err != nil {
		return nil, err
	}
	options, err := redisdb.Config{URL: secret.New("redis://" + address + "/0")}.Options()
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	producer, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	log, shared := slog.New(slog.DiscardHandler), redisdb.NewAutopipeline(rdb)
	record := ledger.NewShared(rdb, shared)
	set := lane.NewSet(rdb, shared, record, "bench", log)
	env := handler.Env{Organisation: organisation, Tenant: tenant, Ledger: record, Deadline: lane.Deadline(callTimeout), Landing: lands}
	set.Add(lane.Config{
		Organisation: organisation, Tenant: tenant, Platform: "dingtalk", Kind: tasks.KindNickname,
		Limits: []pace.Limit{outOfReach}, Timeout: callTimeout, ResendAfter: lands, Metered: true,
	}, handler.Nickname(env, client))
	watcher := runs.NewWatcher(rdb, log)
	set.SetRuns(watcher)
	if err := set.Start(context.Background()); err != nil {
		return nil, errors.Join(err, producer.Close(), rdb.Close())
	}
	feeder := runs.NewFeeder(runs.FeederConfig{Service: runs.New(runs.Config{Redis: rdb, Ledger: record}), Producer: producer, Log: log})
	sweeper := sweep.New(sweep.Config{Redis: rdb, Ledger: record, Lanes: set, Log: log, Rescue: []string{runs.Queue}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	running.Go(func() { sweeper.Run(ctx) })
	var fed error
	running.Go(func() { fed = feeder.Run(ctx) })
	return func() error {
		cancel()
		set.Stop()
		running.Wait()
		client.Close()
		return errors.Join(fed, producer.Close(), rdb.Close())
	}, nil
}
