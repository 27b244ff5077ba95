package contacts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/source/contacts"
	"rollcall/providers/dingtalk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const appSecret = "s3cret-of-the-app"

// school has three levels of departments. Class 7 has more people than fit on a page.
func school() sandbox.Organisation {
	o := sandbox.Organisation{
		Name: "riverside", Apps: []sandbox.App{{Key: "key", Secret: appSecret}},
		Departments: []sandbox.Department{
			{ID: 3, Name: "Grade 3"}, {ID: 31, Name: "Class 1", Parent: 3}, {ID: 32, Name: "Class; 2", Parent: 3}, {ID: 7, Name: "Class 7"},
		},
		Employees: []sandbox.Employee{
			{UserID: "head", Name: "Wang", Title: "head", Email: "wang@school.example", JobNumber: "T1"},
			{UserID: "li", Name: "李雷", Departments: []int64{31}, EnterpriseAccount: true},
			{UserID: "han", Name: "Han Meimei", Departments: []int64{32, 31}},
			{UserID: "off", Name: "Off", Departments: []int64{32}, Disabled: true},
		},
	}
	for i := range 205 {
		o.Employees = append(o.Employees, sandbox.Employee{UserID: fmt.Sprintf("pupil%03d", i), Name: "P", Departments: []int64{7}})
	}
	return o
}

// rig is a Source that reads a school of the sandbox.
type rig struct {
	*contacts.Source

	box    *sandbox.Sandbox
	server *httptest.Server
	pace   *counting
}

// counting counts the requests to each API.
type counting struct {
	mu    sync.Mutex
	calls map[string]int
	fail  error
}

func (p *counting) Wait(_ context.Context, api string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[api]++
	return p.fail
}

// start serves a school; change may alter it, and what is read.
func start(t *testing.T, change func(*sandbox.Config, *contacts.Spec)) *rig {
	t.Helper()
	cfg := sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{school()}}, Seed: 1, Limits: unlimited()}
	var spec contacts.Spec
	if change != nil {
		change(&cfg, &spec)
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{box: box, server: httptest.NewServer(box), pace: &counting{calls: map[string]int{}}}
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "key", AppSecret: secret.New(appSecret), API: r.server.URL, OAPI: r.server.URL,
		Timeout: 30 * time.Second, Quick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Source, err = contacts.New(spec, client, r.pace); err != nil {
		t.Fatal(err)
	}
	r.Hurry()
	t.Cleanup(func() { box.Close(); r.server.Close(); client.Close() })
	return r
}

// unlimited has no windows: the tests do not wait for them.
func unlimited() sandbox.Limits {
	windows := map[string][]sandbox.Window{}
	for _, api := range []string{sandbox.APIDepartment, sandbox.APIDepartments, sandbox.APIDepartmentIDs, sandbox.APIUsers, sandbox.APIUserIDs} {
		windows[api] = []sandbox.Window{}
	}
	return sandbox.Limits{Windows: windows}
}

func (r *rig) arm(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	if _, err := r.box.Arm(faults...); err != nil {
		t.Fatal(err)
	}
}

// read returns the reading, and the records by user id.
func (r *rig) read(t *testing.T) (source.Reading, map[string]source.Record, error) {
	t.Helper()
	people := map[string]source.Record{}
	reading, err := r.Read(t.Context(), func(columns []string, record source.Record) error {
		if diff := cmp.Diff(contacts.Columns(), columns); diff != "" || len(record.Fields) != len(columns) {
			t.Errorf("columns (-want +got):\n%s\n%+v", diff, record)
		}
		if _, twice := people[record.Fields[0]]; twice {
			t.Errorf("%s is read twice", record.Fields[0])
		}
		people[record.Fields[0]] = record
		return nil
	})
	return reading, people, err
}

// incomplete checks that a reading is not complete for the reasons, and returns its
// people.
func (r *rig) incomplete(t *testing.T, reasons ...string) map[string]source.Record {
	t.Helper()
	reading, people, err := r.read(t)
	if err != nil || reading.Complete || reading.Why == "" {
		t.Fatalf("%+v, %v; want an incomplete reading", reading, err)
	}
	for _, reason := range reasons {
		if !strings.Contains(reading.Why, reason) {
			t.Errorf("the reason does not contain %q: %s", reason, reading.Why)
		}
	}
	return people
}

// fails checks that a reading fails with a cause, and that its error has words and no
// secret.
func (r *rig) fails(t *testing.T, cause source.Cause, words ...string) {
	t.Helper()
	reading, _, err := r.read(t)
	e, ok := errors.AsType[*source.Error](err)
	if !ok || e.Cause != cause || reading.Complete {
		t.Errorf("%+v, %v; want an error of the cause %s", reading, err, cause)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not contain %q: %v", word, err)
		}
	}
	if strings.Contains(err.Error(), appSecret) {
		t.Errorf("the error shows a secret: %v", err)
	}
}

func TestTheWholeOrganisationIsRead(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	reading, people, err := r.read(t)
	if err != nil || !reading.Complete || reading.Why != "" || reading.Version == "" {
		t.Fatalf("%+v, %v; want a complete reading", reading, err)
	}
	want := map[string]source.Record{
		"head": {At: "department 1 row 1", Fields: []string{
			"head", "Wang", "T1", "head", "wang@school.example", "1", "riverside", "riverside", "true", "false",
		}},
		"li": {At: "department 31 row 1", Fields: []string{
			"li", "李雷", "", "", "", "31", "Class 1", "riverside/Grade 3/Class 1", "true", "true",
		}},
		"han": {At: "department 31 row 2", Fields: []string{
			"han", "Han Meimei", "", "", "", "32;31", "Class, 2;Class 1", "riverside/Grade 3/Class, 2;riverside/Grade 3/Class 1", "true", "false",
		}},
		"off": {At: "department 32 row 2", Fields: []string{
			"off", "Off", "", "", "", "32", "Class, 2", "riverside/Grade 3/Class, 2", "false", "false",
		}},
	}
	pupils := 0
	for id := range people {
		if strings.HasPrefix(id, "pupil") {
			pupils++
			delete(people, id)
		}
	}
	if diff := cmp.Diff(want, people); diff != "" || pupils != 205 {
		t.Errorf("%d pupils; people (-want +got):\n%s", pupils, diff)
	}
	for _, call := range r.box.Calls() {
		if call.Metered {
			t.Errorf("a metered call: %+v", call)
		}
	}
	wantCalls := map[string]int{
		dingtalk.APIDepartment: 1, dingtalk.APIDepartments: 5, dingtalk.APIDepartmentIDs: 5, dingtalk.APIUsers: 7, dingtalk.APIUserIDs: 5,
	}
	if diff := cmp.Diff(wantCalls, r.pace.calls); diff != "" {
		t.Errorf("requests that were paced (-want +got):\n%s", diff)
	}
	again, _, err := r.read(t)
	if err != nil || again.Version != reading.Version {
		t.Errorf("%+v, %v; want the version %s of the same content", again, err, reading.Version)
	}
}

func TestSomeDepartmentsAreRead(t *testing.T) {
	t.Parallel()
	r := start(t, func(_ *sandbox.Config, spec *contacts.Spec) {
		spec.Departments, spec.Exclude = []int64{3, 31}, []int64{32}
	})
	reading, people, err := r.read(t)
	if err != nil || !reading.Complete || len(people) != 2 {
		t.Fatalf("%+v, %v, %+v; want the two people of class 1", reading, err, people)
	}
	if got := people["han"].Fields[5:8]; !slices.Equal(got, []string{"31", "Class 1", "Class 1"}) {
		t.Errorf("departments %q; want only those that are read", got)
	}
}

func TestARefusedDepartmentMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"outside the scope": {API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultAnswer, Code: "50004"},
		"deleted since":     {API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultAnswer, Code: "60003"},
		"an unlisted code":  {API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultAnswer, Code: "123456"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil)
			r.arm(t, fault)
			if people := r.incomplete(t, `department 7 "Class 7" is refused`, fault.Code); len(people) != 4 {
				t.Errorf("%d people; want the four of the other departments", len(people))
			}
		})
	}
}

func TestADepartmentWhoseListsAreRefusedMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	for _, api := range []string{sandbox.APIDepartments, sandbox.APIDepartmentIDs, sandbox.APIUserIDs} {
		r := start(t, nil)
		r.arm(t, sandbox.Fault{API: api, Department: "3", Kind: sandbox.FaultAnswer, Code: "50004"})
		r.incomplete(t, `department 3 "Grade 3" is refused`, api, "contact scope")
	}
}

func TestWhatTheAppCannotSeeMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	r := start(t, func(cfg *sandbox.Config, _ *contacts.Spec) {
		org := &cfg.World.Organisations[0]
		org.Departments[3].Hidden = true
		org.Employees[1].Hidden = true
	})
	if people := r.incomplete(t,
		`department 1 "riverside": the app cannot see 1 department below it (7)`, `department 31 "Class 1": 1 of 2 people are not in the list`,
	); len(people) != 3 {
		t.Errorf("%d people; want the three that the app can see", len(people))
	}
	r = start(t, func(cfg *sandbox.Config, spec *contacts.Spec) {
		cfg.World.Organisations[0].Departments[3].Hidden = true
		spec.Exclude = []int64{7}
	})
	if reading, people, err := r.read(t); err != nil || !reading.Complete || len(people) != 4 {
		t.Errorf("%+v, %d people, %v; want a complete reading of what is not excluded", reading, len(people), err)
	}
}

func TestALostPageMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.arm(t, sandbox.Fault{API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultLostPage})
	if people := r.incomplete(t, `department 7 "Class 7": 5 of 205 people are not in the list`); len(people) != 204 {
		t.Errorf("%d people; want all but the five of the last page", len(people))
	}
}

func TestARepeatedCursorMakesTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.arm(t, sandbox.Fault{
		API: sandbox.APIUsers, Department: "7", At: 2, Kind: sandbox.FaultOddBody,
		Body: `{"errcode":0,"errmsg":"ok","result":{"has_more":true,"next_cursor":0,"list":[]}}`,
	})
	if people := r.incomplete(t, `department 7 "Class 7": the platform returned the cursor 0 twice`); len(people) != 104 {
		t.Errorf("%d people; want those of the first page and of the other departments", len(people))
	}
}

func TestManyReasonsAreCounted(t *testing.T) {
	t.Parallel()
	r := start(t, func(cfg *sandbox.Config, _ *contacts.Spec) {
		for id := int64(100); id < 108; id++ {
			org := &cfg.World.Organisations[0]
			org.Departments = append(org.Departments, sandbox.Department{ID: id, Name: "Club"})
			org.Employees = append(org.Employees, sandbox.Employee{UserID: fmt.Sprintf("hidden%d", id), Departments: []int64{id}, Hidden: true})
		}
	})
	r.incomplete(t, "department 104", "and 3 more")
}

func TestABusyPlatformIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.arm(t,
		sandbox.Fault{API: sandbox.APIUsers, At: 3, Kind: sandbox.FaultAnswer, Code: "90018"},
		sandbox.Fault{API: sandbox.APIDepartments, First: 4, Kind: sandbox.FaultAnswer, Code: "-1"},
		sandbox.Fault{API: sandbox.APIUserIDs, At: 1, Kind: sandbox.FaultOutage},
		sandbox.Fault{API: sandbox.APIDepartmentIDs, At: 2, Kind: sandbox.FaultExpiredToken},
	)
	if reading, people, err := r.read(t); err != nil || !reading.Complete || len(people) != 209 {
		t.Errorf("%+v, %d people, %v; want a complete reading", reading, len(people), err)
	}
}

func TestAnOutageFailsTheReading(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.arm(t, sandbox.Fault{API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultOutage})
	r.fails(t, source.Down, "HTTP 502")

	r = start(t, nil)
	r.server.Close()
	r.fails(t, source.Down, "connection refused")

	r = start(t, nil)
	r.arm(t, sandbox.Fault{API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultBan})
	r.fails(t, source.Down, "1111")
}

func TestAPlatformThatRefusesTheAppFailsTheReading(t *testing.T) {
	t.Parallel()
	r := start(t, func(cfg *sandbox.Config, _ *contacts.Spec) { cfg.World.Organisations[0].Apps[0].Secret = "another" })
	r.fails(t, source.Refused, "invalidClientIdOrSecret")

	for _, permission := range []string{"qyapi_get_department_list", "qyapi_get_department_member", "qyapi_get_member"} {
		r = start(t, func(cfg *sandbox.Config, _ *contacts.Spec) {
			cfg.World.Organisations[0].Apps[0].Missing = []string{permission}
		})
		r.fails(t, source.Refused, "60011", "grant the app the permission "+permission)
	}
	r = start(t, func(_ *sandbox.Config, spec *contacts.Spec) { spec.Departments = []int64{99} })
	r.fails(t, source.Refused, "department 99", "60003", "check the id of the department")
}

func TestAnAnswerThatIsNotWholeFailsTheReading(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":            `{"errcode":0,"errmsg":"ok"}`,
		"no list":            `{"errcode":0,"result":{"has_more":false}}`,
		"no list but null":   `{"errcode":0,"result":{"has_more":false,"list":null}}`,
		"not said if more":   `{"errcode":0,"result":{"list":[]}}`,
		"more, but no where": `{"errcode":0,"result":{"has_more":true,"list":[]}}`,
		"no user id":         `{"errcode":0,"result":{"has_more":false,"list":[{"name":"x"}]}}`,
		"other types":        `{"errcode":0,"result":{"has_more":false,"list":[{"userid":5}]}}`,
		"two answers in one": `{"errcode":0,"result":{"has_more":false,"list":[],"list":[]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil)
			r.arm(t, sandbox.Fault{API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultOddBody, Body: body})
			r.fails(t, source.Malformed)
		})
	}
}

func TestNoPersonFailsTheReading(t *testing.T) {
	t.Parallel()
	r := start(t, func(cfg *sandbox.Config, spec *contacts.Spec) {
		cfg.World.Organisations[0].Departments = append(cfg.World.Organisations[0].Departments, sandbox.Department{ID: 9, Name: "Club"})
		spec.Departments = []int64{9}
	})
	r.fails(t, source.Empty, "no person")

	r = start(t, func(_ *sandbox.Config, spec *contacts.Spec) { spec.Departments = []int64{7} })
	r.arm(t, sandbox.Fault{API: sandbox.APIUsers, Kind: sandbox.FaultAnswer, Code: "50004"})
	r.fails(t, source.Refused, "50004")
}

func TestMorePeopleThanTheLimitFailTheReading(t *testing.T) {
	t.Parallel()
	for limit, fits := range map[int]bool{208: false, 209: true} {
		r := start(t, func(_ *sandbox.Config, spec *contacts.Spec) { spec.Limit = limit })
		if !fits {
			r.fails(t, source.TooLarge, "more than 208 people")
		} else if _, people, err := r.read(t); err != nil || len(people) != 209 {
			t.Errorf("%d people, %v; want as many as the limit", len(people), err)
		}
	}
}

func TestASlowPlatformFailsTheReading(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "key", AppSecret: secret.New(appSecret), API: server.URL, OAPI: server.URL,
		Timeout: 20 * time.Millisecond, Quick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(hang); server.Close(); client.Close() })
	s, err := contacts.New(contacts.Spec{}, client, contacts.NewEvenPace(1e6))
	if err != nil {
		t.Fatal(err)
	}
	s.Hurry()
	(&rig{Source: s}).fails(t, source.Slow)
}

func TestTheCallersErrorsAreReturned(t *testing.T) {
	t.Parallel()
	full := errors.New("no more")
	r := start(t, nil)
	if _, err := r.Read(t.Context(), func([]string, source.Record) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v; want the receiver's error", err)
	}
	r.pace.fail = errors.New("Redis is unavailable")
	_, err := r.Read(t.Context(), func([]string, source.Record) error { return nil })
	if _, judged := errors.AsType[*source.Error](err); judged || !errors.Is(err, r.pace.fail) {
		t.Errorf("%v; want the pace's error", err)
	}
	r = start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = r.Read(ctx, func([]string, source.Record) error { cancel(); return nil })
	if _, judged := errors.AsType[*source.Error](err); judged || !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want the cancellation", err)
	}
}

func TestASpecThatCannotWorkIsRejected(t *testing.T) {
	t.Parallel()
	for want, spec := range map[string]contacts.Spec{
		"limit is -1":               {Limit: -1},
		"0 is no id":                {Departments: []int64{0}},
		"5 is listed twice":         {Departments: []int64{5, 5}},
		"both read and excluded":    {Departments: []int64{5}, Exclude: []int64{5}},
		"is the whole organisation": {Exclude: []int64{1}},
	} {
		if _, err := contacts.New(spec, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", spec, err, want)
		}
	}
}

func TestTheEvenPaceSpacesTheRequestsOfEachAPI(t *testing.T) {
	t.Parallel()
	p := contacts.NewEvenPace(0.001)
	for _, api := range []string{dingtalk.APIUsers, dingtalk.APIUserIDs} {
		if err := p.Wait(t.Context(), api); err != nil {
			t.Errorf("the first request to %s waits: %v", api, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Wait(ctx, dingtalk.APIUsers); err == nil {
		t.Error("the second request does not wait")
	}
}
