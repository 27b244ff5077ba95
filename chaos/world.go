package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/sandbox"
)

const (
	organisation = "harbour"
	dingtalk     = "harbour-dt"
	classin      = "harbour-ci"
	appKey       = "dingharbour"
	schoolID     = "1000099"
	prohibited   = "casino"       // in names and in IDs
	noUser       = "no-such-user" // is not an employee

	// The rates that both platforms allow per second, and that the workers are
	// configured with.
	nicknameRate = 60
	groupRate    = 40
	idRate       = 10
	courseRate   = 30

	// timeout of one exchange. It is longer than any latency of the platforms: a
	// request that takes effect after its sender has given up cannot be prevented
	// (docs/guarantees.md), so only the variant late has such requests.
	timeout = 8 * time.Second
	// rest is how long an ID with unknown outcome waits before it is sent again. No
	// request arrives later than the timeout here, so seconds are enough.
	rest = 20 * time.Second
	// landsWithin is how long after it was given up a request may take effect, in the
	// variant late; lateRest is how long workers wait for it.
	landsWithin = time.Minute
	lateRest    = 75 * time.Second

	// sideQuota is the month of the other organisations, which is never spent, and
	// sideCalls is more than each of them can make in a second.
	sideQuota = 10_000_000
	sideCalls = 50
)

// rates are what the lanes of an organisation are configured with, in calls a second.
type rates struct{ nickname, group, id, course int }

var (
	planRates = rates{nicknameRate, groupRate, idRate, courseRate}
	// sideRates are low: the pace of a saturated lane is to be that of its limit, also on a
	// busy machine.
	sideRates = rates{15, 10, 5, 8}
)

// school is the users, groups and courses of the tasks.
type school struct {
	chats   []string
	owners  []string // in every chat, one of them its owner
	pupils  []string // in every chat: they get nicknames
	movers  []string // they come and go
	guests  []string // external contacts; they come and go
	people  []string // they get IDs
	ids     []string // free at first, and fewer than those who want them
	taken   []string // IDs of other users
	courses []string
	gone    []string // deleted courses
	runs    runSchool
}

// newSchool returns a school that grows with the number of tasks, so that the number of
// tasks per target is about constant.
func newSchool(n int) school {
	names := func(prefix string, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("%s%04d", prefix, i)
		}
		return all
	}
	courses := names("7", max(4, n/200))
	return school{
		chats: names("chat", max(4, n/200)), owners: names("owner", 3), pupils: names("pupil", 22),
		movers: names("mover", 80), guests: names("guest", 6),
		people: names("person", max(8, n/30)), ids: names("free", max(12, n/25)), taken: names("taken", 20),
		courses: courses, gone: names("8", 2),
	}
}

func (s school) world() sandbox.World {
	o := sandbox.Organisation{
		Name: organisation, Quota: -1, Externals: s.guests,
		Apps: []sandbox.App{{Key: appKey, Secret: "secret"}},
	}
	for _, list := range [][]string{s.owners, s.pupils, s.movers, s.people, s.runs.pupils, s.runs.people} {
		for _, id := range list {
			o.Employees = append(o.Employees, sandbox.Employee{UserID: id, Name: id, EnterpriseAccount: true})
		}
	}
	for _, chats := range []struct{ ids, pupils []string }{
		{s.chats, s.pupils}, {s.runs.chats, s.runs.pupils}, {s.runs.cancelled, s.runs.pupils}, {s.runs.groups, nil}, {s.runs.edited, nil},
	} {
		for _, id := range chats.ids {
			chat := sandbox.Chat{ID: id, Name: "?", Owner: s.owners[0]}
			for _, user := range slices.Concat(s.owners, chats.pupils) {
				chat.Members = append(chat.Members, sandbox.Member{UserID: user})
			}
			o.Chats = append(o.Chats, chat)
		}
	}
	classes := sandbox.School{SID: schoolID, Secret: "secret"}
	for i, id := range slices.Concat(s.courses, s.runs.courses) {
		course := sandbox.Course{ID: id}
		for j := range 3 {
			course.Students = append(course.Students, sandbox.Student{UID: strconv.Itoa(j), Name: fmt.Sprintf("student %d", j)})
		}
		// One student cannot be renamed: the platform reports that, but not which one.
		if i > 0 && i%25 == 0 && i < len(s.courses) {
			course.Students = append(course.Students, sandbox.Student{UID: "deleted", Name: "x", Deleted: true})
		}
		classes.Courses = append(classes.Courses, course)
	}
	for _, id := range s.gone {
		classes.Courses = append(classes.Courses, sandbox.Course{ID: id, State: sandbox.CourseDeleted})
	}
	o.Schools = []sandbox.School{classes}
	return sandbox.World{
		Organisations: []sandbox.Organisation{o}, TakenIDs: s.taken,
		ProhibitedNames: []string{prohibited}, ProhibitedIDs: []string{prohibited},
	}
}

// faults strike 5 % of all calls, with everything the sandbox knows but the ban
// of an address, which would keep everybody waiting for five minutes.
func faults(variant string) []sandbox.Fault {
	switch variant {
	case gateway:
		return gatewayFaults()
	case late:
		return append(gatewayFaults(), lateFaults()...)
	case vandal:
		return nil
	}
	const each = 0.05 / 13
	all := []sandbox.Fault{
		{Name: "reset after the effect", Kind: sandbox.FaultReset, Applied: true},
		{Name: "reset before", Kind: sandbox.FaultReset},
		{Name: "refused", Kind: sandbox.FaultRefused},
		{Name: "no answer after the effect", Kind: sandbox.FaultHang, Applied: true},
		{Name: "no answer", Kind: sandbox.FaultHang},
		// In plain text: an HTML page at DingTalk means the ban.
		{
			Name: "bad gateway", Kind: sandbox.FaultOutage, Status: http.StatusServiceUnavailable,
			Body: "no healthy upstream", Headers: map[string]string{"Content-Type": "text/plain"},
		},
		{Name: "half an answer", Kind: sandbox.FaultTruncated},
		{Name: "an odd answer after the effect", Kind: sandbox.FaultOddBody, Applied: true},
		{Name: "an odd answer", Kind: sandbox.FaultOddBody},
		{Name: "slow", Kind: sandbox.FaultLatency, Latency: 200 * time.Millisecond, Jitter: 2 * time.Second},
	}
	for _, busy := range []struct{ api, code string }{
		{sandbox.APIGroupNick, "-1"},
		{sandbox.APIGroupUpdate, "system.error"},
		{sandbox.APIChangeID, "system.busy"},
		{sandbox.APIClassNick, "104"},
	} {
		all = append(all,
			sandbox.Fault{Name: "busy", API: busy.api, Kind: sandbox.FaultAnswer, Code: busy.code},
			sandbox.Fault{Name: "busy after the effect", API: busy.api, Kind: sandbox.FaultAnswer, Code: busy.code, Applied: true})
		if busy.api != sandbox.APIClassNick {
			all = append(all, sandbox.Fault{Name: "expired token", API: busy.api, Kind: sandbox.FaultExpiredToken})
		}
	}
	for i := range all {
		all[i].Share = each
		if all[i].Kind == sandbox.FaultExpiredToken {
			// All calls share the token: one that is refused twice puts the tenant on
			// hold for a minute, as it should.
			all[i].Share = each / 8
		}
	}
	// Refused for the rate. ClassIn's refusal is for a minute, and so is left to
	// its own limit.
	const qps = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
	for _, fast := range []struct{ api, code string }{
		{sandbox.APIGroupNick, "90018"},
		{sandbox.APIGroupUpdate, qps},
		{sandbox.APIChangeID, qps},
	} {
		all = append(all, sandbox.Fault{Name: "too fast", API: fast.api, Kind: sandbox.FaultAnswer, Code: fast.code, Share: each / 4})
	}
	return all
}

// gatewayFaults returns the faults of a gateway in front of the platforms that
// sometimes fails. None of them makes a platform refuse for longer than one call.
func gatewayFaults() []sandbox.Fault {
	all := []sandbox.Fault{
		{Name: "HTML page before the effect", Kind: sandbox.FaultOutage, Share: 0.005},
		{Name: "HTML page after the effect", Kind: sandbox.FaultOutage, Applied: true, Share: 0.005},
		{Name: "reset before the effect", Kind: sandbox.FaultReset, Share: 0.02},
		{Name: "reset after the effect", Kind: sandbox.FaultReset, Applied: true, Share: 0.02},
	}
	for _, api := range []struct{ name, busy, badToken string }{
		{sandbox.APIGroupNick, "-1", "40014"},
		{sandbox.APIGroupUpdate, "system.error", "InvalidAuthentication"},
		{sandbox.APIChangeID, "system.busy", "InvalidAuthentication"},
		{sandbox.APIClassNick, "104", ""},
	} {
		all = append(all, sandbox.Fault{Name: "busy", API: api.name, Kind: sandbox.FaultAnswer, Code: api.busy, Share: 0.02})
		if api.badToken != "" {
			all = append(all,
				sandbox.Fault{Name: "expired token", API: api.name, Kind: sandbox.FaultExpiredToken, Share: 0.005},
				sandbox.Fault{Name: "valid token refused", API: api.name, Kind: sandbox.FaultAnswer, Code: api.badToken, Share: 0.001})
		}
	}
	return all
}

// lateFault is the name of the faults of lateFaults.
const lateFault = "late"

// lateFaults returns requests that get no answer and take effect after they were given
// up.
func lateFaults() (all []sandbox.Fault) {
	for _, api := range []string{sandbox.APIGroupNick, sandbox.APIGroupUpdate, sandbox.APIChangeID, sandbox.APIClassNick} {
		all = append(all, sandbox.Fault{Name: lateFault, API: api, Kind: sandbox.FaultHang, Applied: true, Lands: landsWithin, Share: 0.003})
	}
	return all
}

// platforms are both emulated platforms. They run in this process, so no kill affects
// their state.
type platforms struct {
	*sandbox.Sandbox

	url    string
	server *http.Server
}

func openPlatforms(s school, o settings, sides ...side) (*platforms, error) {
	world := s.world()
	for _, other := range sides {
		world.Organisations = append(world.Organisations, other.organisation())
	}
	second := func(calls int) []sandbox.Window {
		if o.variant == vandal { // the pace is compared, and must not depend on refusals
			calls *= 2
		}
		return []sandbox.Window{{Calls: calls, Per: time.Second}}
	}
	box, err := sandbox.New(sandbox.Config{
		World: world, Seed: o.seed, KeepCalls: 20*(o.tasks+2*s.runs.rows) + 10_000 + int(o.duration.Seconds())*sideCalls*len(sides),
		Limits: sandbox.Limits{MonthlyQuota: -1, Windows: map[string][]sandbox.Window{
			sandbox.APIGroupNick: second(nicknameRate), sandbox.APIGroupUpdate: second(groupRate),
			sandbox.APIChangeID: second(idRate), sandbox.APIClassNick: second(courseRate),
		}},
		Scenario: sandbox.Scenario{Faults: faults(o.variant)},
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, err
	}
	p := &platforms{
		Sandbox: box, url: "http://" + listener.Addr().String(),
		server: &http.Server{Handler: box, ReadHeaderTimeout: 5 * time.Second},
	}
	go func() { _ = p.server.Serve(listener) }() // ends with close alone
	return p, nil
}

func (p *platforms) close() {
	p.Close()
	_ = p.server.Close()
}

// tenants are the tenants of an organisation in the workers' configuration.
type tenants struct{ organisation, dingtalk, appKey, classin, schoolID string }

// workerConfig returns the configuration file of all workers. redis is its redis
// section, in YAML's flow style.
func workerConfig(redis, platforms, variant string, sides ...side) string {
	waits := fmt.Sprintf("id_resend_after: %s", rest)
	if variant == late { // another commit may not know the key
		waits = fmt.Sprintf("id_resend_after: %[1]s, late_resend_after: %[1]s", lateRest)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "redis: %s\nhttp: {listen: \"off\"}\nlog: {level: debug, format: json, show_personal_data: true}\norganisations:\n", redis)
	all := []tenants{{organisation, dingtalk, appKey, classin, schoolID}}
	for _, s := range sides {
		all = append(all, tenants{s.name, s.dingtalk(), s.appKey(), s.classin(), s.sid})
	}
	for i, t := range all {
		quota, rate := 0, planRates
		if i > 0 {
			quota, rate = sideQuota, sideRates
		}
		fmt.Fprintf(&b, `  - name: %s
    quota: {calls: %d}
    tenants:
      - name: %s
        dingtalk:
          {api: %[4]q, oapi: %[4]q, app_key: %s, app_secret: {env: CHAOS_SECRET}, timeout: %s, %[7]s, limits: {
            nickname: {calls: %[8]d, per: 1s}, group: {calls: %[9]d, per: 1s}, id: {calls: %[10]d, per: 1s}}}
      - name: %[11]s
        classin: {base_url: %[4]q, sid: %[12]q, secret: {env: CHAOS_SECRET}, timeout: %[6]s, limits: {course: {calls: %[13]d, per: 1s}}}
`, t.organisation, quota, t.dingtalk, platforms, t.appKey, timeout, waits, rate.nickname, rate.group, rate.id, t.classin, t.schoolID, rate.course)
	}
	return b.String()
}
