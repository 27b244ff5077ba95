package night_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/schooltest"
	"rollcall/internal/source"
	"rollcall/tasks"
)

// The school of the simulation: classes, students of each, and its other tenant.
const (
	classes      = "ABCDE"
	classSize    = 20
	classTenant  = "lakeside-ci"
	managedClass = "7B" // the roster decides who is in its chat
)

// The schedules of the school, in the order of each night.
const (
	ofNicknames = "nicknames"
	ofStudents  = "students"
	ofIDs       = "ids"
)

// opening is the tick of the first night. It is over, so that lanes that are published now
// count as served by that clock. Night 24 is the first of a month in Shanghai.
var opening = time.Date(2025, 11, 7, 18, 37, 0, 0, time.UTC)

func tickOf(n int) time.Time { return opening.AddDate(0, 0, n-1) }

// person is somebody of the school's roster.
type person struct {
	user, uid, name, class, role, status string

	id     string // the DingTalk ID by the rule
	number string // suffix of a name that another person has, too
}

func (p person) chat() string { return "chat" + p.class }

// nickname is the name by the rule: the role is in brackets, of which there are two kinds.
func (p person) nickname(square bool) string {
	name := p.class + " " + p.name
	switch {
	case p.role != "" && square:
		name += "[" + p.role + "]"
	case p.role != "":
		name += "（" + p.role + "）"
	}
	return name + p.number
}

// people returns the first people of the school. Their pinyin is written by hand: the test
// does not use the code that it judges.
func people(from, to int) []person {
	surnames := [][2]string{{"黄", "huang"}, {"李", "li"}, {"王", "wang"}, {"张", "zhang"}, {"刘", "liu"}, {"陈", "chen"}, {"杨", "yang"}, {"赵", "zhao"}, {"吴", "wu"}, {"周", "zhou"}}
	given := [][2]string{
		{"佳琪", "jiaqi"},
		{"小明", "xiaoming"},
		{"子涵", "zihan"},
		{"一诺", "yinuo"},
		{"浩然", "haoran"},
		{"雨桐", "yutong"},
		{"思远", "siyuan"},
		{"欣怡", "xinyi"},
		{"俊杰", "junjie"},
		{"梓萱", "zixuan"},
		{"天宇", "tianyu"},
		{"海燕", "haiyan"},
	}
	var all []person
	for i := from - 1; i < to; i++ {
		s, g := surnames[i%10], given[i/10]
		all = append(all, person{
			user: fmt.Sprintf("u%03d", i+1), uid: strconv.Itoa(100_001 + i), name: s[0] + g[0], class: "7" + classes[i/classSize%len(classes):][:1],
			id: s[1] + g[1],
		})
	}
	return all
}

// term is a school, its platforms and its worker, by a clock that the test moves.
type term struct {
	t         *testing.T
	server    *redistest.Server
	ahead     atomic.Int64
	rdb       redis.UniversalClient
	ledger    *ledger.Ledger
	runs      *run.Service
	nights    *night.Service
	box       *sandbox.Sandbox
	set       *lane.Set
	log       *logtest.Buffer
	directory string // of the exports
	schedules []night.Night

	roster []person // the truth
	export edition  // what is wrong with tonight's file
	banned bool     // a ban is expected tonight
	passed bool     // it has passed

	mu        sync.Mutex
	announced map[string]bool // "schedule night"
}

func (s *term) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// pass moves the clock of Redis, of the platforms, and of those who plan.
func (s *term) pass(by time.Duration) {
	s.server.Step(by)
	s.ahead.Add(int64(by))
}

func newTerm(t *testing.T, server *redistest.Server) *term {
	t.Helper()
	s := &term{t: t, server: server, log: &logtest.Buffer{}, directory: t.TempDir(), announced: map[string]bool{}, roster: people(1, classSize*len(classes))}
	s.pass(time.Until(opening.Add(-time.Hour)))
	box, err := sandbox.New(sandbox.Config{World: s.world(), Limits: schooltest.NoLimits(), Clock: s.now, KeepCalls: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	platforms := httptest.NewServer(box)
	t.Cleanup(platforms.Close)
	t.Cleanup(box.Close)
	s.box, s.rdb = box, patient(t, server)
	s.ledger = ledger.New(s.rdb)
	s.runs = run.New(run.Config{Redis: s.rdb, Ledger: s.ledger, Now: s.now})
	s.nights = night.New(night.Config{
		Redis: s.rdb, Runs: s.runs, Ledger: s.ledger, Announce: s.announce, Log: slog.New(slog.NewTextHandler(s.log, nil)), Now: s.now,
	})
	schooltest.Publish(t, s.rdb, registry.Lane{Organisation: organisation, Tenant: classTenant, Kind: tasks.KindStudent})
	s.schedule()
	s.set, _ = schooltest.Worker{
		URL: platforms.URL, Redis: server.Client(t), Limits: []pace.Limit{{Calls: 200, Per: time.Second}}, Log: slog.New(slog.NewTextHandler(s.log, nil)),
		Timeout: callTimeout, Now: s.now, ClassIn: classTenant, Producer: producer(t, &redis.UniversalOptions{Addrs: []string{server.Addr}}),
	}.Start(t)
	return s
}

// world has the students of all nights in the chats and courses of their classes.
func (s *term) world() sandbox.World {
	org := sandbox.Organisation{Name: organisation, Apps: []sandbox.App{{Key: "ding-lakeside", Secret: "sesame"}}, Quota: -1}
	org.Employees = []sandbox.Employee{{UserID: "owner", EnterpriseAccount: true}}
	school := sandbox.School{SID: "1001", Secret: "sesame"}
	for i := range classes {
		class := "7" + classes[i:i+1]
		org.Chats = append(org.Chats, sandbox.Chat{ID: "chat" + class, Name: class, Owner: "owner", Members: []sandbox.Member{{UserID: "owner"}}})
		school.Courses = append(school.Courses, sandbox.Course{ID: strconv.Itoa(501 + i)})
	}
	for _, p := range people(1, classSize*len(classes)+10) {
		org.Employees = append(org.Employees, sandbox.Employee{UserID: p.user, EnterpriseAccount: true})
		i := strings.Index(classes, p.class[1:])
		org.Chats[i].Members = append(org.Chats[i].Members, sandbox.Member{UserID: p.user})
		school.Courses[i].Students = append(school.Courses[i].Students, sandbox.Student{UID: p.uid, Name: "student " + p.uid, Nickname: "student " + p.uid})
	}
	org.Schools = []sandbox.School{school}
	return sandbox.World{Organisations: []sandbox.Organisation{org}, ProhibitedNames: []string{"forbidden"}}
}

// The rules of the schedules.
const (
	ruleOfNicknames = `
filter: [{column: status, not_in: [left]}]
template: '{{.class}} {{.name}}{{wrap "（" "）" .role}}'
chats: {map: {7A: chat7A, 7B: chat7B, 7C: chat7C, 7D: chat7D, 7E: chat7E}}
`
	ruleOfStudents = `
kind: student
filter: [{column: status, not_in: [left]}]
template: '{{.name}}'
`
	ruleOfIDs = `
kind: id
filter: [{column: status, not_in: [left]}]
`
)

// schedule makes the three schedules, which read the same export.
func (s *term) schedule() {
	s.t.Helper()
	from, err := source.NewFiles(source.FilesSpec{Place: source.Place{Path: filepath.Join(s.directory, "roster-*.csv"), Settle: time.Millisecond}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range []struct{ name, tenant, rule string }{
		{ofNicknames, tenant, ruleOfNicknames}, {ofStudents, classTenant, ruleOfStudents}, {ofIDs, tenant, ruleOfIDs},
	} {
		s.schedules = append(s.schedules, night.Night{
			Name: n.name, Source: from, Canary: -1, Allowed: []string{run.FlagOf(run.GuardIDs)},
			Rule: night.Names{Rule: rule(s.t, n.rule), Tenant: n.tenant, Organisation: organisation, Ledger: s.ledger},
		})
	}
	s.schedules[0].Absence = night.Absence{Nights: 3, Chats: []string{"chat" + managedClass}}
}

// name changes the rule for nicknames.
func (s *term) name(yaml string) {
	s.schedules[0].Rule = night.Names{Rule: rule(s.t, yaml), Tenant: tenant, Organisation: organisation, Ledger: s.ledger}
}
