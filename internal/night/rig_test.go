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
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/schooltest"
	"rollcall/internal/source"
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
	// resendAfter makes the worker send values again. 0: it does not.
	resendAfter time.Duration
	set         *lane.Set
	roll        *roll
	night       night.Night
	now         time.Time
	mu          sync.Mutex
	sent        []night.Report
	refuses     error // of Announce
}

// newRig makes a platform with members in their chats, and a schedule whose roster has them.
func newRig(t *testing.T, s *redistest.Server, members []member) *rig {
	t.Helper()
	r := newRigOn(t, func(t *testing.T) redis.UniversalClient { return patient(t, s) }, &redis.UniversalOptions{Addrs: []string{s.Addr}}, members)
	r.client = s.Client // of the worker, which tries again
	return r
}

// patient is a client for the test itself: it waits for the answer of a Redis on a busy machine.
func patient(t *testing.T, s *redistest.Server) redis.UniversalClient {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, ReadTimeout: patience})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func newRigOn(t *testing.T, client func(*testing.T) redis.UniversalClient, options *redis.UniversalOptions, members []member) *rig {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{World: world(members), Limits: schooltest.NoLimits()})
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
	schooltest.Publish(t, rdb)
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
	r.set, _ = schooltest.Worker{
		URL: r.url, Redis: r.client(r.t), Limits: []pace.Limit{{Calls: 200, Per: time.Second}}, Quota: r.quota,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Timeout: callTimeout, ResendAfter: r.resendAfter, Producer: producer(r.t, r.options),
	}.Start(r.t)
}

func producer(t *testing.T, options *redis.UniversalOptions) *enqueue.Client {
	t.Helper()
	p, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
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
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		report, err := r.nights.Run(r.t.Context(), r.night, nightOf(n))
		if err == nil {
			return report
		}
		// On a busy machine a server may not answer in time: a schedule tries that again, too.
		if _, again := errors.AsType[*source.Error](err); !again || time.Now().After(end) {
			r.t.Fatalf("night %d: %v", n, err)
		}
	}
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

// eventually waits until check finds nothing wrong.
func (r *rig) eventually(check func() error) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%v\n%s", err, r.log)
		}
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
