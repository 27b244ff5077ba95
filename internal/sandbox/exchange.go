package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxBody = 1 << 20

// exchange is one request on its way through the sandbox.
type exchange struct {
	endpoint *endpoint
	method   string
	path     string
	address  string
	header   http.Header
	query    url.Values
	body     []byte

	form   url.Values // of a form body
	token  string     // as presented; empty: none
	order  any        // what read made of the body
	broken *refusal   // read's complaint about the body
	target Target

	app    *app    // nil: not known
	school *school // nil: not known
	robot  *robot  // nil: not known
	org    *organisation
	tenant string

	number      int64
	arrived     time.Time
	requestID   string
	overlapping int
	fault       *armedFault // what shapes the answer; nil: nothing does
	latency     time.Duration
	metered     bool
}

// ServeHTTP answers for both platforms, and for the sandbox itself under
// /_sandbox/.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_sandbox" || strings.HasPrefix(r.URL.Path, "/_sandbox/") {
		s.admin.ServeHTTP(w, r)
		return
	}
	// The whole body is read first: only then does the server notice that a
	// client hangs up while its call is being delayed.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, fmt.Sprintf("sandbox: cannot read the request: %v", err), http.StatusBadRequest)
		return
	}
	x := s.open(r, body)
	s.arrive(x)
	defer s.leave(x)
	if x.latency > 0 {
		// A client that gives up does not withdraw its request: a platform carries out
		// what it received. The call continues in any case.
		_ = s.sleep(r.Context(), x.latency)
	}
	if x.fault != nil && x.fault.Lands > 0 {
		s.lag(r.Context(), x.fault.Lands)
	}
	s.deliver(w, r, s.decide(x))
}

// lag waits until the client gives up, and then for up to most.
func (s *Sandbox) lag(client context.Context, most time.Duration) {
	select {
	case <-client.Done():
	case <-s.closed:
		return
	}
	s.mu.Lock()
	after := time.Duration(s.rand.Int64N(int64(most) + 1))
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-s.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = s.sleep(ctx, after)
}

func (s *Sandbox) open(r *http.Request, body []byte) *exchange {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	x := &exchange{
		endpoint: s.route(r), method: r.Method, path: r.URL.Path, address: address,
		header: r.Header, query: r.URL.Query(), body: body,
	}
	x.broken = x.endpoint.read(x)
	return x
}

// arrive numbers the call and draws its faults.
func (s *Sandbox) arrive(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.arrived++
	x.number, x.arrived = s.log.arrived, s.clock()
	x.requestID = s.requestID(x.endpoint.dialect)
	x.endpoint.identify(s, x)
	x.overlapping = s.inFlight[x.position()]
	s.inFlight[x.position()]++
	x.fault, x.latency = s.faults.draw(x, s.rand)
}

func (s *Sandbox) leave(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[x.position()]--; s.inFlight[x.position()] <= 0 {
		delete(s.inFlight, x.position())
	}
}

// place is the thing that the call changes, within its organisation.
func (x *exchange) position() string {
	organisation := ""
	if x.org != nil {
		organisation = x.org.name
	}
	return organisation + " " + x.endpoint.api + " " + x.target.thing()
}

// decide carries the call out and records it, both under one lock: the log and the
// effects always agree.
func (s *Sandbox) decide(x *exchange) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	call := Call{
		Number: x.number, Time: x.arrived, API: x.endpoint.api, Method: x.method, Path: x.path,
		Tenant: x.tenant, Target: x.target, RequestID: x.requestID, Overlapping: x.overlapping,
	}
	if x.org != nil {
		call.Organisation = x.org.name
	}
	a, changes := s.judge(x, now)
	if len(changes) > 0 {
		call.Effect = s.log.effect(Effect{
			Call: x.number, Time: now, API: call.API, Organisation: call.Organisation, Tenant: x.tenant,
			Target: x.target, Changes: changes, RequestID: x.requestID,
		})
	}
	if x.fault != nil {
		call.Fault = x.fault.Name
	}
	if a.ending == endSent {
		call.Status, call.Code = a.status, a.code
	}
	call.Metered = x.metered
	s.log.call(call)
	a.requestID, a.at = x.requestID, now
	return a
}

// judge follows the platform's order: faults of the network, the gateway, the faults of
// the service, the service itself.
func (s *Sandbox) judge(x *exchange, now time.Time) (answer, []Change) {
	d := x.endpoint.dialect
	if x.fault != nil && x.fault.beforeGateway(d) {
		return x.fault.answer(x), nil
	}
	if x.fault != nil && x.fault.Kind == FaultExpiredToken && x.app != nil {
		s.platform.revoke(x.app)
	}
	a, refusedByGateway := s.gateway(x, now)
	if refusedByGateway {
		return x.fault.bend(a, x), nil
	}
	if x.fault != nil && x.fault.insteadOfService() {
		return x.fault.answer(x), nil
	}
	result := outcome{refusal: x.broken}
	if x.broken == nil {
		result = x.endpoint.run(s, x)
	}
	if result.refusal != nil {
		a = d.refuse(x.requestID, *result.refusal)
	} else {
		a = answer{status: http.StatusOK, contentType: d.contentType, code: cmp.Or(x.endpoint.success, "ok"), body: encode(result.body)}
	}
	return x.fault.bend(a, x), result.changes
}

// gateway is what every call passes before its service. true: the answer is its
// refusal.
func (s *Sandbox) gateway(x *exchange, now time.Time) (answer, bool) {
	e, d := x.endpoint, x.endpoint.dialect
	if d.dingtalk && s.banned(x.address, now) {
		return banAnswer(x.requestID), true
	}
	if r := e.authenticate(s, x); r != nil {
		return d.refuse(x.requestID, *r), true
	}
	if r := x.permissionMissing(); r != nil {
		return d.refuse(x.requestID, *r), true
	}
	if per, ok := s.throttle(e.api, x.tenant, now); !ok {
		return d.refuse(x.requestID, refusal{code: d.throttled(per)}), true
	}
	if e.metered {
		if !s.spend(x.org, now) {
			quota := s.quotaOf(x.org)
			return d.refuse(x.requestID, refusal{code: d.quotaSpent, message: fmt.Sprintf(
				"the organisation has used %d of the %d calls of this month", x.org.spent, quota)}), true
		}
		x.metered = true
	}
	return answer{}, false
}

func (x *exchange) permissionMissing() *refusal {
	if x.endpoint.permission == "" || x.app == nil {
		return nil
	}
	for _, missing := range x.app.Missing {
		if missing != x.endpoint.permission {
			continue
		}
		code := codeNoPermission
		if x.endpoint.dialect.numeric {
			code = "60011"
		}
		return &refusal{code: code, scopes: missing}
	}
	return nil
}
