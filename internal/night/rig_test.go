package night_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/sweep"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	organisation = "lakeside"
	tenant       = "lakeside-dt"
	// patience bounds how long a test waits for an expected event. No test depends on how
	// long it took.
	patience = 5 * time.Minute
	// callTimeout is long: a call that times out on a busy machine is repeated.
	callTimeout = time.Minute
)

// first is the tick of the first night.
var first = time.Date(2026, 11, 1, 18, 30, 0, 0, time.UTC)

// nightOf is the tick of a night, from 1.
func nightOf(n int) time.Time { return first.AddDate(0, 0, n-1) }

// member is somebody in a chat, with the name that the roster gives them.
type member struct{ chat, user, name string }

// class are members u<from> to u<to> of a chat, whose names are their ids in capitals.
func class(chat string, from, to int) []member {
	var all []member
	for i := from; i <= to; i++ {
		all = append(all, member{chat: chat, user: fmt.Sprintf("u%d", i), name: fmt.Sprintf("Student %d", i)})
	}
	return all
}

// roll is a source that a test writes.
type roll struct {
	members []member
	// modified is when; a zero one is that of the night, unless undated.
	modified time.Time
	undated  bool
	why      string // why the reading is not complete; empty: it is
	version  string // empty: a hash of the members
	err      error
	columns  []string // nil: those of a roster
}

func (r *roll) Read(_ context.Context, each func(columns []string, rec source.Record) error) (source.Reading, error) {
	if r.err != nil {
		return source.Reading{}, r.err
	}
	columns := r.columns
	if columns == nil {
		columns = []string{"chat_id", "user_id", "nickname"}
	}
	sum := sha256.New()
	for i, m := range r.members {
		_, _ = fmt.Fprintln(sum, m)
		if err := each(columns, source.Record{At: fmt.Sprintf("line %d", i+2), Fields: []string{m.chat, m.user, m.name}}); err != nil {
			return source.Reading{}, err
		}
	}
	return source.Reading{
		Columns: columns, Complete: r.why == "", Why: r.why, Modified: r.modified,
		Version: cmp.Or(r.version, hex.EncodeToString(sum.Sum(nil))),
	}, nil
}

// rig is a platform, a Redis, and what nights need.
type rig struct {
	t       *testing.T
	client  func(*testing.T) redis.UniversalClient // a new one
	options *redis.UniversalOptions
	rdb     redis.UniversalClient
	ledger  *ledger.Ledger
	runs    *run.Service
	nights  *night.Service
	box     *sandbox.Sandbox
	url     string
	log     *logtest.Buffer
	quota   pace.Quota
	set     *lane.Set
	roll    *roll
	night   night.Night
	now     time.Time
	mu      sync.Mutex
	sent    []night.Report
	refuses error // of Announce
}

// newRig makes a platform with members in their chats, and a schedule whose roster has them.
func newRig(t *testing.T, s *redistest.Server, members []member) *rig {
	t.Helper()
	return newRigOn(t, s.Client, &redis.UniversalOptions{Addrs: []string{s.Addr}}, members)
}

func newRigOn(t *testing.T, client func(*testing.T) redis.UniversalClient, options *redis.UniversalOptions, members []member) *rig {
	t.Helper()
	unlimited := map[string][]sandbox.Window{}
	for _, api := range []string{sandbox.APIGroupNick, sandbox.APIGroupUpdate, sandbox.APIChangeID} {
		unlimited[api] = []sandbox.Window{}
	}
	box, err := sandbox.New(sandbox.Config{World: world(members), Limits: sandbox.Limits{Windows: unlimited, MonthlyQuota: -1, Address: sandbox.Window{Calls: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	platform := httptest.NewServer(box)
	t.Cleanup(platform.Close)
	t.Cleanup(box.Close)
	rdb := client(t)
	book := ledger.New(rdb)
	r := &rig{
		t: t, client: client, options: options, rdb: rdb, ledger: book, runs: run.New(run.Config{Redis: rdb, Ledger: book}), box: box, url: platform.URL,
		log: &logtest.Buffer{}, roll: &roll{members: members}, now: first,
	}
	r.nights = r.service(rdb)
	r.night = night.Night{Name: "nightly", Source: r.roll, Rule: night.Columns{Tenant: tenant}, Canary: -1}
	var lanes []registry.Lane
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind})
	}
	if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
		t.Fatal(err)
	}
	return r
}

// service returns a Service that uses a client.
func (r *rig) service(rdb redis.UniversalClient) *night.Service {
	book := ledger.New(rdb)
	return night.New(night.Config{
		Redis: rdb, Runs: run.New(run.Config{Redis: rdb, Ledger: book}), Ledger: book, Announce: r.announce, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now },
	})
}

// world has all members in their chats, without nicknames.
func world(members []member) sandbox.World {
	org := sandbox.Organisation{Name: organisation, Apps: []sandbox.App{{Key: "ding-lakeside", Secret: "sesame"}}, Quota: -1}
	org.Employees = []sandbox.Employee{{UserID: "owner", EnterpriseAccount: true}}
	known := map[string]bool{}
	for _, m := range members {
		if !known[m.user] {
			known[m.user] = true
			org.Employees = append(org.Employees, sandbox.Employee{UserID: m.user, EnterpriseAccount: true})
		}
		i := slices.IndexFunc(org.Chats, func(c sandbox.Chat) bool { return c.ID == m.chat })
		if i < 0 {
			i = len(org.Chats)
			org.Chats = append(org.Chats, sandbox.Chat{ID: m.chat, Name: m.chat, Owner: "owner", Members: []sandbox.Member{{UserID: "owner"}}})
		}
		org.Chats[i].Members = append(org.Chats[i].Members, sandbox.Member{UserID: m.user})
	}
	return sandbox.World{Organisations: []sandbox.Organisation{org}, ProhibitedNames: []string{"forbidden"}}
}

func (r *rig) announce(_ context.Context, report night.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses != nil {
		return r.refuses
	}
	r.sent = append(r.sent, report)
	return nil
}

// at moves the clock of the nights.
func (r *rig) at(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

// work starts a worker with all lanes of the tenant.
func (r *rig) work() {
	r.t.Helper()
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: tenant, AppKey: "ding-lakeside", AppSecret: secret.New("sesame"), API: r.url, OAPI: r.url, Timeout: callTimeout,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	rdb := r.client(r.t)
	shared := redisdb.NewAutopipeline(rdb)
	book := ledger.NewShared(rdb, shared)
	set := lane.NewSet(rdb, shared, book, "worker", log)
	env := handler.Env{Organisation: organisation, Tenant: tenant, Ledger: book, Deadline: lane.Deadline(callTimeout)}
	for kind, handle := range map[tasks.Kind]handler.Func{
		tasks.KindNickname: handler.Nickname(env, client), tasks.KindGroup: handler.Group(env, client), tasks.KindID: handler.ID(env, client),
	} {
		set.Add(lane.Config{
			Organisation: organisation, Tenant: tenant, Platform: "dingtalk", Kind: kind, Limits: []pace.Limit{{Calls: 200, Per: time.Second}},
			Timeout: callTimeout, Metered: true, Quota: r.quota,
		}, handle)
	}
	watcher := run.NewWatcher(rdb, log)
	set.SetRuns(watcher)
	if err := set.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.set = set
	producer, err := enqueue.New(enqueue.Config{Redis: r.options})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: rdb, Ledger: book}), Producer: producer, Log: log})
	sweeper := sweep.New(sweep.Config{Redis: rdb, Ledger: book, Lanes: set, Log: log, Rescue: []string{run.Queue}})
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	running.Go(func() { sweeper.Run(ctx) })
	running.Go(func() {
		if err := feeder.Run(ctx); err != nil {
			r.t.Errorf("feeder: %v", err)
		}
	})
	r.t.Cleanup(func() {
		cancel()
		set.Stop()
		running.Wait()
		_ = producer.Close()
		client.Close()
	})
}

// run carries out a night, until its run is sent or held.
func (r *rig) run(n int) night.Report {
	r.t.Helper()
	r.at(nightOf(n))
	if !r.roll.undated {
		given := r.roll.modified
		defer func() { r.roll.modified = given }()
		r.roll.modified = cmp.Or(given, nightOf(n))
	}
	report, err := r.nights.Run(r.t.Context(), r.night, nightOf(n))
	if err != nil {
		r.t.Fatalf("night %d: %v", n, err)
	}
	return report
}

// whole carries out a night, and waits until it has ended or needs a person.
func (r *rig) whole(n int) night.Report {
	r.t.Helper()
	r.run(n)
	return r.settled(n)
}

// settled waits until a night has ended, or needs a person.
func (r *rig) settled(n int) night.Report {
	r.t.Helper()
	return r.until(n, func(got night.Report) bool { return got.Final() || len(got.Decide) > 0 })
}

// until waits until the report of a night is as it should be.
func (r *rig) until(n int, done func(night.Report) bool) night.Report {
	r.t.Helper()
	end := time.Now().Add(patience)
	for {
		if err := r.nights.Settle(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		got := r.report(n)
		if done(got) {
			return got
		}
		if time.Now().After(end) {
			r.t.Fatalf("night %d is %+v\n%s", n, got, r.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// report returns the stored report of a night, a zero one if there is none.
func (r *rig) report(n int) night.Report {
	r.t.Helper()
	history, err := r.nights.History(r.t.Context(), r.night.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, report := range history {
		if report.Tick.Equal(nightOf(n)) {
			return report
		}
	}
	return night.Report{}
}

// approve approves the run of a night.
func (r *rig) approve(report night.Report) {
	r.t.Helper()
	held, err := r.runs.Get(r.t.Context(), report.Run)
	if err == nil {
		_, err = r.runs.Approve(r.t.Context(), held.ID, held.Plan.Digest, "ann")
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// calls counts the calls that changed or could have changed something.
func (r *rig) calls() (n int) {
	for _, c := range r.box.Calls() {
		if c.API != sandbox.APIToken {
			n++
		}
	}
	return n
}

// repeats counts the calls that changed nothing: confirmations after an unknown outcome.
func (r *rig) repeats() (n int) {
	for _, e := range r.box.Effects() {
		for _, c := range e.Changes {
			if c.Field == "nick" && c.Old == c.New {
				n++
			}
		}
	}
	return n
}

// platform returns the nicknames of all members on the platform but the owner, by chat and
// user.
func (r *rig) platform() map[string]string {
	r.t.Helper()
	state, ok := r.box.State().Organisation(organisation)
	if !ok {
		r.t.Fatal("the platform has no such organisation")
	}
	all := map[string]string{}
	for _, c := range state.Chats {
		for _, m := range c.Members {
			if m.UserID != "owner" {
				all[c.ID+"/"+m.UserID] = m.Nick
			}
		}
	}
	return all
}

// names are the nicknames that members should have.
func names(members []member) map[string]string {
	all := map[string]string{}
	for _, m := range members {
		all[m.chat+"/"+m.user] = m.name
	}
	return all
}

// notified returns the reports that others were notified of.
func (r *rig) notified() []night.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent)
}

// rename returns the members with another name for one of them.
func rename(members []member, user, name string) []member {
	all := slices.Clone(members)
	for i := range all {
		if all[i].user == user {
			all[i].name = name
		}
	}
	return all
}

// without returns the members but for some.
func without(members []member, users ...string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool { return slices.Contains(users, m.user) })
}

func fault(cause source.Cause) error {
	return &source.Error{Cause: cause, Err: errors.New("says the test")}
}

// long skips a test of several nights under -short: a night with calls takes a second and a half, as
// workers look for runs twice a second.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
}
