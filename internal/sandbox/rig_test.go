package sandbox_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var beijing = time.FixedZone("Beijing", 8*60*60)

// morning is when every test starts.
func morning() time.Time { return time.Date(2026, 3, 10, 10, 0, 0, 0, beijing) }

// town is the world of the tests: two companies that share nothing but the
// space of DingTalk IDs, and a school each.
func town() sandbox.World {
	return sandbox.World{
		ProhibitedNames: []string{"casino"}, ProhibitedIDs: []string{"admin"}, TakenIDs: []string{"stranger1"},
		Organisations: []sandbox.Organisation{
			{
				Name: "north",
				Apps: []sandbox.App{
					{Key: "ding-north", Secret: "n-secret"},
					{Key: "ding-bare", Secret: "b-secret", Missing: []string{"qyapi_chat_manage", "qyapi_manage_addresslist"}},
				},
				Employees: []sandbox.Employee{
					{UserID: "ann", UnionID: "u-ann", Name: "Ann", EnterpriseAccount: true},
					{UserID: "bob", Name: "Bob", EnterpriseAccount: true, DingTalkID: "bobnorth1", IDSetAt: time.Date(2025, 9, 1, 0, 0, 0, 0, beijing)},
					{UserID: "cat", Name: "Cat"},
					{UserID: "off", Disabled: true},
					{UserID: "far", Hidden: true},
				},
				Externals: []string{"u-guest"},
				Chats: []sandbox.Chat{
					{ID: "chat1", Name: "Class 1", Owner: "ann", Members: []sandbox.Member{{UserID: "ann"}, {UserID: "bob", Nick: "Bobby"}, {UserID: "off"}, {UserID: "far"}}},
					{ID: "chat2", Name: "Led from afar", Owner: "far", Members: []sandbox.Member{{UserID: "far"}}},
				},
				Schools: []sandbox.School{{SID: "1001", Secret: "s-north", Courses: []sandbox.Course{
					{ID: "501", Students: []sandbox.Student{{UID: "1", Name: "Ann A", Nickname: "annie"}, {UID: "2", Name: "Bob B", Nickname: "b"}}},
					{ID: "502", State: sandbox.CourseDeleted},
					{ID: "503", State: sandbox.CourseExpired},
					{ID: "504", State: sandbox.CourseForeign},
					{ID: "505", Students: []sandbox.Student{{UID: "1", Name: "Ann A", Nickname: "annie"}, {UID: "3", Name: "Deleted", Nickname: "old", Deleted: true}}},
					{ID: "506", Students: []sandbox.Student{{UID: "3", Name: "Deleted", Deleted: true}}},
				}}},
			},
			{
				Name: "south", Apps: []sandbox.App{{Key: "ding-south", Secret: "s-secret"}},
				Employees: []sandbox.Employee{{UserID: "ann", EnterpriseAccount: true, DingTalkID: "annsouth1"}, {UserID: "eve", EnterpriseAccount: true}},
				Schools:   []sandbox.School{{SID: "2002", Secret: "s-south", Courses: []sandbox.Course{{ID: "601"}}}},
			},
		},
	}
}

// rig is a sandbox behind a real server, on a clock of its own.
type rig struct {
	t      *testing.T
	box    *sandbox.Sandbox
	clock  *clock
	server *httptest.Server
	client *http.Client
}

// start serves town on a clock of its own. change may rewrite the Config.
func start(t *testing.T, change func(*sandbox.Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{now: morning()}}
	cfg := sandbox.Config{World: town(), Clock: r.clock.Now, Seed: 7}
	if change != nil {
		change(&cfg)
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r.box, r.server = box, httptest.NewServer(box)
	r.client = r.server.Client()
	t.Cleanup(func() { box.Close(); r.server.Close() })
	return r
}

// reply is an answer as received, with the random request id replaced by ID.
type reply struct {
	Status     int
	Type       string
	Body       string
	RetryAfter string
}

var idOnTheWire = regexp.MustCompile(`("request_?id":|"uuid":)"[0-9A-Za-z-]+"`)

func (r *rig) send(method, path, contentType, body string, headers ...string) (reply, error) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("request: %v", err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	if !strings.HasPrefix(path, "/_sandbox") && response.Header.Get("X-Sandbox-Request-Id") == "" {
		r.t.Errorf("%s %s: the answer carries no request id", method, path)
	}
	return reply{
		Status: response.StatusCode, Type: response.Header.Get("Content-Type"), RetryAfter: response.Header.Get("Retry-After"),
		Body: idOnTheWire.ReplaceAllString(string(text), `$1"ID"`),
	}, nil
}

func (r *rig) must(method, path, contentType, body string, headers ...string) reply {
	r.t.Helper()
	got, err := r.send(method, path, contentType, body, headers...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

func (r *rig) fetchToken(key, secret string) string {
	r.t.Helper()
	got := r.must("POST", "/v1.0/oauth2/accessToken", "application/json", fmt.Sprintf(`{"appKey":%q,"appSecret":%q}`, key, secret))
	var body struct {
		AccessToken string `json:"accessToken"`
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil || body.AccessToken == "" {
		r.t.Fatalf("token call answered %d %s", got.Status, got.Body)
	}
	return body.AccessToken
}

func (r *rig) northToken() string { r.t.Helper(); return r.fetchToken("ding-north", "n-secret") }

const (
	formType = "application/x-www-form-urlencoded;charset=utf-8"
	nickPath = "/topapi/chat/updategroupnick"
)

func (r *rig) nick(token, chat, user, nick string) reply {
	r.t.Helper()
	form := url.Values{"chatid": {chat}, "userid": {user}, "group_nick": {nick}}
	return r.must("POST", nickPath+"?access_token="+token, formType, form.Encode())
}

func (r *rig) v1(path, token, body string) reply {
	r.t.Helper()
	return r.must("POST", path, "application/json", body, "x-acs-dingtalk-access-token", token)
}

func (r *rig) group(token, body string) reply {
	r.t.Helper()
	return r.v1("/v1.0/im/group/update", token, body)
}

func (r *rig) changeID(token, user, id string) reply {
	r.t.Helper()
	return r.v1("/v1.0/contact/orgAccounts/dingTalkIds/change", token, fmt.Sprintf(`{"userId":%q,"dingTalkId":%q}`, user, id))
}

// course makes a signed call for a school, as its page describes.
func (r *rig) course(sid, secret, course string) reply {
	r.t.Helper()
	stamp := strconv.FormatInt(r.clock.Now().Unix(), 10)
	return r.classIn(url.Values{"SID": {sid}, "safeKey": {sign(secret, stamp)}, "timeStamp": {stamp}, "courseId": {course}})
}

func (r *rig) classIn(form url.Values) reply {
	r.t.Helper()
	return r.must("POST", "/partner/api/course.api.php?action=modifyGroupMemberNickname", "application/x-www-form-urlencoded", form.Encode())
}

func sign(secret, stamp string) string {
	sum := md5.Sum([]byte(secret + stamp))
	return hex.EncodeToString(sum[:])
}

// answers fails the test unless the answer is exactly this.
func answers(t *testing.T, got reply, status int, body string) {
	t.Helper()
	if got.Status != status || got.Body != body {
		t.Errorf("answer: %d %s\n  want: %d %s", got.Status, got.Body, status, body)
	}
}

// code digs the platform's code out of any of the envelopes.
func code(got reply) string {
	var body struct {
		ErrCode   *int   `json:"errcode"`
		SubCode   string `json:"sub_code"`
		Code      string `json:"code"`
		Success   bool   `json:"success"`
		Result    bool   `json:"result"`
		Status    int    `json:"status"`
		ErrorInfo struct {
			Errno int `json:"errno"`
		} `json:"error_info"`
	}
	if json.Unmarshal([]byte(got.Body), &body) != nil {
		return "not JSON"
	}
	switch {
	case body.SubCode != "":
		return "88/" + body.SubCode
	case body.ErrCode != nil:
		return strconv.Itoa(*body.ErrCode)
	case body.ErrorInfo.Errno != 0:
		return strconv.Itoa(body.ErrorInfo.Errno)
	case body.Success || body.Result:
		return "ok"
	case body.Status != 0:
		return strconv.Itoa(body.Status)
	}
	return body.Code
}

func (r *rig) north() sandbox.OrganisationState {
	r.t.Helper()
	org, ok := r.box.State().Organisation("north")
	if !ok {
		r.t.Fatal("the state knows no organisation north")
	}
	return org
}
