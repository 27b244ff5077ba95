package handler_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// front is a proxy before the platforms: it loses, delays and holds requests. All
// sequences of a test share one.
type front struct {
	server *httptest.Server
	mini   *miniredis.Miniredis
	rdb    redis.UniversalClient

	mu    sync.Mutex
	world *world
}

func newFront(t *testing.T, mini *miniredis.Miniredis, rdb redis.UniversalClient) *front {
	f := &front{mini: mini, rdb: rdb}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	rdb.AddHook(hook{})
	return f
}

// landing is a request that was sent and has not arrived.
type landing struct {
	request *http.Request
	sent    time.Time // by world.latest
	by      *attempt
	what    string
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	world := f.world
	f.mu.Unlock()
	defer world.turn()
	if strings.HasSuffix(r.URL.Path, "/accessToken") {
		world.box.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	away := r.Clone(context.Background())
	away.Body = io.NopCloser(bytes.NewReader(body))
	a := world.running
	a.exchanges++
	world.model.learned(a, true)
	l := &landing{request: away, sent: world.latest(), by: a, what: string(body)}
	world.left(l, body)
	what := fine
	if a.exchanges == a.plan.exchange {
		what = a.plan.atExchange
	}
	world.exchange(w, r, l, what)
}

// exchange carries out a request in the way that the plan requires.
func (w *world) exchange(out http.ResponseWriter, r *http.Request, l *landing, what fault) {
	a := l.by
	if t, ok := a.task.task.(tasks.IDChange); ok && what == refuse && w.model.person(t.UserID).sends > 1 {
		what = fine // a refusal now would have been the answer to the first send, too
	}
	if what == pause {
		w.lands(l)
		switch a.stand(beforeExchange) {
		case goTimeout:
			what = late
		case goCrash:
			a.crashed.Store(true)
			what = late
		}
	}
	switch what {
	case late, resetLate:
		w.aside(l)
		if what == late {
			a.giveUp()
		}
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	if f, armed := w.faultFor(l, what); armed {
		ids, err := w.box.Arm(f)
		if err != nil {
			w.violated("arm %+v: %v", f, err)
			return
		}
		defer w.box.Disarm(ids[0])
	}
	w.carryOut(answer, r, a)
	switch what {
	case pauseAfter:
		switch a.stand("in an exchange, after the platform acted") {
		case goCrash:
			a.crashed.Store(true)
			panic(http.ErrAbortHandler)
		case goTimeout:
			a.giveUp()
			panic(http.ErrAbortHandler)
		}
	case timeout:
		a.giveUp()
		panic(http.ErrAbortHandler)
	case reset:
		panic(http.ErrAbortHandler)
	}
	a.read(answer)
	w.model.learned(a, false)
	maps.Copy(out.Header(), answer.Header())
	out.WriteHeader(answer.Code)
	_, _ = out.Write(answer.Body.Bytes())
}

// read records what the platform answered to the attempt.
func (a *attempt) read(answer *httptest.ResponseRecorder) {
	body := answer.Body.String()
	a.yes, a.answer = false, idUnclear
	for _, word := range []struct{ in, answer string }{
		{`"success":true`, idApplied},
		{`"result":true`, idApplied},
		{`"errno":1,`, idApplied},
		{"incorrect.reserved", idReserved},
		{"have.been.set", idLocked},
		{"incorrect.", idRefused},
		{"emp.not.exist", idRefused},
		{"QpsLimit", idUnread},
		{"InvalidAuthentication", idUnread},
	} {
		if answer.Code < 500 && strings.Contains(body, word.in) {
			a.yes, a.answer = word.answer == idApplied, word.answer
			return
		}
	}
}

// carryOut lets the platform act.
func (w *world) carryOut(out http.ResponseWriter, r *http.Request, by *attempt) {
	before := len(w.box.Effects())
	w.box.ServeHTTP(out, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.box.Effects()) - before; n > 0 {
		by.task.acted = true
	}
}

// faultFor returns the sandbox's fault for an error at the platform itself.
func (w *world) faultFor(l *landing, what fault) (sandbox.Fault, bool) {
	api := l.api()
	answer := func(codes map[string]string, applied bool) (sandbox.Fault, bool) {
		return sandbox.Fault{API: api, Kind: sandbox.FaultAnswer, Code: codes[api], Applied: applied}, true
	}
	switch what {
	case refuse:
		return answer(refusals, false)
	case busy:
		return answer(busyCodes, false)
	case busyDone:
		return answer(busyCodes, true)
	case fast:
		return answer(fastCodes, false)
	case outage:
		return sandbox.Fault{API: api, Kind: sandbox.FaultOutage}, true
	case odd:
		return sandbox.Fault{API: api, Kind: sandbox.FaultOddBody, Applied: true}, true
	}
	return sandbox.Fault{}, false
}

// The answers of the platforms to a wrong task, to any task when they are busy, and to
// a task that was sent too fast.
var (
	refusals = map[string]string{
		sandbox.APIGroupNick: "41049", sandbox.APIGroupUpdate: "parameter.invalid",
		sandbox.APIChangeID: "incorrect.format", sandbox.APIClassNick: "144",
	}
	busyCodes = map[string]string{
		sandbox.APIGroupNick: "-1", sandbox.APIGroupUpdate: "system.error",
		sandbox.APIChangeID: "system.busy", sandbox.APIClassNick: "104",
	}
	fastCodes = map[string]string{
		sandbox.APIGroupNick: "90018", sandbox.APIGroupUpdate: "Forbidden.AccessDenied.QpsLimitForApi",
		sandbox.APIChangeID: "Forbidden.AccessDenied.QpsLimitForApi", sandbox.APIClassNick: "101003001",
	}
)

func (l *landing) api() string {
	for _, api := range []struct{ path, name string }{
		{"updategroupnick", sandbox.APIGroupNick},
		{"group/update", sandbox.APIGroupUpdate},
		{"dingTalkIds/change", sandbox.APIChangeID},
		{"course.api.php", sandbox.APIClassNick},
	} {
		if strings.Contains(l.request.URL.Path, api.path) {
			return api.name
		}
	}
	panic("no API has the path " + l.request.URL.Path)
}

// left checks a request that is about to leave.
func (w *world) left(l *landing, body []byte) {
	l.by.sentAt = l.sent
	target, fields := kinds.Change(l.by.task.task, school)
	var sent []ledger.Field
	for _, f := range fields {
		if l.carries(f.Name, body) {
			sent = append(sent, f)
		}
	}
	w.log("  %s sends %s", l.by.task.id, l.what)
	for _, other := range w.still {
		if at, _ := kinds.Change(other.task.task, school); at == target && other.slots > 0 {
			other.overtaken = true
		}
	}
	if l.by.overtaken {
		w.violated("%s sends, but another attempt has held the lease since", l.by.task.id)
	}
	if l.by.finished && l.by.position == "" {
		w.violated("%s is sent again although it was done", l.by.task.id)
	}
	for _, f := range sent {
		if !w.hasUnknown(target, f.Name) {
			w.violated("%s sends %s although its outcome is known", l.by.task.id, f.Name)
		}
		if f.Mode != ledger.Edit && l.by.latest[f.Name] > l.by.task.rev {
			w.violated("%s sends %s although a later change was known", l.by.task.id, f.Name)
		}
	}
	if t, ok := l.by.task.task.(tasks.IDChange); ok {
		var order struct {
			ID string `json:"dingtalkId"`
		}
		if err := json.Unmarshal(body, &order, json.MatchCaseInsensitiveNames(true)); err != nil {
			w.violated("%s: %v", body, err)
		}
		if err := w.model.person(t.UserID).send(order.ID, w.latest()); err != nil {
			w.violated("%s of %s: %v", l.by.task.id, t.UserID, err)
		}
	}
}

// carries reports whether a field is part of the request.
func (l *landing) carries(field string, body []byte) bool {
	if l.api() != sandbox.APIGroupUpdate {
		return true
	}
	var parts map[string]any
	if err := json.Unmarshal(body, &parts); err != nil {
		panic(err)
	}
	names := map[string][]string{
		"members": {"add_useridlist", "del_useridlist"}, "options.searchable": {"managementOptions"},
		"name": {"name"}, "icon": {"icon"},
	}
	return slices.ContainsFunc(names[field], func(name string) bool { _, there := parts[name]; return there })
}
