package handler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// attempt is one attempt at a task, and what goes wrong with it. It runs in a
// goroutine of its own, but never beside the driver: the driver waits until it
// ends or stands still.
type attempt struct {
	task   *stored
	ctx    context.Context
	giveUp context.CancelFunc
	plan   plan

	commands, exchanges, slots int

	crashed atomic.Bool
	yes     bool      // the platform said yes last
	answer  string    // what it said of an ID, in one word; "": that is taken in
	place   string    // where it stands still, or stood last
	slotAt  time.Time // when its last slot came
	sentAt  time.Time // when its last request left, by Redis' clock

	finished bool             // the task was done before, and nothing in doubt
	newest   map[string]int64 // newest wishes that the ledger knew of, by field
	world    *world
	stands   chan string // says where
	goOn     chan string // says how: goOn, goCrash, goTimeout
	ended    chan ended  // has room for one
}

type ended struct {
	report  handler.Report
	err     error
	crashed bool
}

// plan says what goes wrong with an attempt: with its n-th command to Redis, its
// n-th request to the platform, its first slot. Zero: nothing.
type plan struct {
	command, exchange     int
	atCommand, atExchange fault
	atSlot                fault
}

// fault is one thing that goes wrong.
type fault string

const (
	fine       fault = "fine"
	crash      fault = "crash"       // before the command is sent
	crashAfter fault = "crash after" // Redis carried it out
	lost       fault = "lost reply"  // Redis carried it out, and the caller gets an error
	twice      fault = "sent twice"  // the first reply is lost, and go-redis asks again
	pause      fault = "pause"
	pauseAfter fault = "pause after" // the platform has acted and not answered
	refuse     fault = "refused"     // by the platform, or by the lane at the slot
	passed     fault = "slot passed"
	slow       fault = "slot comes late"
	busy       fault = "busy"
	busyDone   fault = "busy, and done"
	outage     fault = "outage"
	fast       fault = "too fast"
	odd        fault = "odd answer, and done"
	reset      fault = "reset, and done"
	resetLate  fault = "reset, and late"
	timeout    fault = "timeout, and done"
	late       fault = "timeout, and late" // the request lands in a later step
)

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// crash ends the attempt's goroutine as the death of its process would: nothing
// that it would do from here on reaches anybody.
func (a *attempt) crash() {
	a.crashed.Store(true)
	runtime.Goexit()
}

const beforeExchange = "in an exchange, before the platform acts"

// stand stops the attempt until the driver lets it go on, and returns how.
func (a *attempt) stand(place string) string {
	a.stands <- place
	return <-a.goOn
}

// hook is between the ledger and Redis.
type hook struct{}

func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return attemptOf(ctx).send(func() error { return next(ctx, cmd) })
	}
}

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return attemptOf(ctx).send(func() error { return next(ctx, cmds) })
	}
}

func (a *attempt) send(do func() error) error {
	if a == nil { // the driver's
		return do()
	}
	if a.crashed.Load() {
		runtime.Goexit()
	}
	a.commands++
	if a.commands != a.plan.command {
		return do()
	}
	switch f := a.plan.atCommand; {
	case f == crash:
		a.crash()
	case f == crashAfter:
		_ = do()
		a.crash()
	case f == pause:
		if a.stand("before a command") == goCrash {
			a.crash()
		}
	case f == twice, f == lost && a.yes:
		// What the platform has done is settled until a reply arrives.
		_ = do()
	case f == lost:
		_ = do()
		return io.ErrUnexpectedEOF
	}
	return do()
}

// modelPacer is the lane of all attempts.
type modelPacer struct{}

func (modelPacer) Slot(ctx context.Context) error {
	a := attemptOf(ctx)
	if a.crashed.Load() {
		runtime.Goexit()
	}
	a.slots++
	defer func() { a.slotAt = a.world.now }()
	if a.slots > 1 {
		return ctx.Err()
	}
	switch a.plan.atSlot {
	case crash:
		a.crash()
	case pause:
		if a.stand("at the slot") == goCrash {
			a.crash()
		}
	case slow:
		a.world.clock(time.Second)
	case refuse:
		return errHeld
	}
	return ctx.Err()
}

var errHeld = errors.New("the lane is on hold")

func (modelPacer) Leave(ctx context.Context) (bool, error) {
	a := attemptOf(ctx)
	if a.slots == 1 {
		switch a.plan.atSlot {
		case crashAfter:
			a.crash()
		case passed:
			return false, nil
		}
	}
	return a.world.now.Sub(a.slotAt) < 10*time.Millisecond, nil // a slot that has passed is not used
}

func (modelPacer) Unused(context.Context) {}

// front is what stands before the platforms: it loses, delays and holds
// requests. One for all sequences of a test.
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

// landing is a request that has left and not arrived.
type landing struct {
	request *http.Request
	sent    time.Time // by Redis' clock
	by      *attempt
	what    string
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	world := f.world
	f.mu.Unlock()
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
	world.model.told(a, true)
	l := &landing{request: away, sent: world.redisNow(), by: a, what: string(body)}
	world.left(l, body)
	what := fine
	if a.exchanges == a.plan.exchange {
		what = a.plan.atExchange
	}
	world.exchange(w, r, l, what)
}

// exchange carries a request out in the way that the plan says.
func (w *world) exchange(out http.ResponseWriter, r *http.Request, l *landing, what fault) {
	a := l.by
	if t, ok := a.task.task.(tasks.IDChange); ok && what == refuse && w.model.person(t.UserID).sends > 1 {
		what = fine // what it is refused for, it would have been refused for the first time
	}
	if what == pause {
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
	w.model.told(a, false)
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	_, _ = out.Write(answer.Body.Bytes())
}

// read notes what the platform told the attempt.
func (a *attempt) read(answer *httptest.ResponseRecorder) {
	body := answer.Body.String()
	a.yes, a.answer = false, idUnclear
	for _, word := range []struct{ in, answer string }{
		{`"success":true`, idApplied}, {`"result":true`, idApplied}, {`"errno":1,`, idApplied},
		{"incorrect.reserved", idReserved}, {"have.been.set", idLocked},
		{"incorrect.", idRefused}, {"emp.not.exist", idRefused}, {"QpsLimit", idUnread}, {"InvalidAuthentication", idUnread},
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

// faultFor is the sandbox's fault for what goes wrong at the platform itself.
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

// What the platforms answer when the task is wrong, when they are busy, and
// when it was too fast.
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
		{"updategroupnick", sandbox.APIGroupNick}, {"group/update", sandbox.APIGroupUpdate},
		{"dingTalkIds/change", sandbox.APIChangeID}, {"course.api.php", sandbox.APIClassNick},
	} {
		if strings.Contains(l.request.URL.Path, api.path) {
			return api.name
		}
	}
	panic(fmt.Sprintf("no API has the path %s", l.request.URL.Path))
}
