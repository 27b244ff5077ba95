package sandbox

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// gatewayPage is the page that a gateway sends with an HTTP status.
func gatewayPage(status int) []byte {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n" +
		"<body>\r\n<center><h1>" + title + "</h1></center>\r\n<hr><center>Tengine</center>\r\n</body>\r\n</html>\r\n")
}

// armedFault is a Fault that waits for its calls.
type armedFault struct {
	Fault

	id      int
	armed   time.Time
	matched int
	fired   int
}

// faultSet contains the armed faults in the order in which they were added.
type faultSet struct {
	armed []*armedFault
	last  int // id
}

func (s *faultSet) arm(f Fault, now time.Time) int {
	s.last++
	if f.Name == "" {
		f.Name = fmt.Sprintf("%s-%d", f.Kind, s.last)
	}
	s.armed = append(s.armed, &armedFault{Fault: f, id: s.last, armed: now})
	return s.last
}

func (s *faultSet) disarm(id int) bool {
	before := len(s.armed)
	s.armed = slices.DeleteFunc(s.armed, func(f *armedFault) bool { return f.id == id })
	return len(s.armed) < before
}

// draw counts the call at every fault that matches it. It returns the first
// that strikes with more than latency, and the latencies of all that strike.
func (s *faultSet) draw(x *exchange, random *rand.Rand) (*armedFault, time.Duration) {
	var chosen *armedFault
	var latency time.Duration
	for _, f := range s.armed {
		if !f.matches(x) {
			continue
		}
		f.matched++
		if !f.strikes(random) {
			continue
		}
		if f.Kind != FaultLatency && chosen != nil {
			continue
		}
		f.fired++
		latency += f.Latency
		if f.Jitter > 0 {
			latency += time.Duration(random.Int64N(int64(f.Jitter) + 1))
		}
		if f.Kind != FaultLatency {
			chosen = f
		}
	}
	return chosen, latency
}

func (f *armedFault) matches(x *exchange) bool {
	since := x.arrived.Sub(f.armed)
	if since < f.After || (f.For > 0 && since >= f.After+f.For) {
		return false
	}
	organisation := ""
	if x.org != nil {
		organisation = x.org.name
	}
	for _, pair := range [...]struct{ want, got string }{
		{f.API, x.endpoint.api},
		{f.Organisation, organisation},
		{f.Tenant, x.tenant},
		{f.Chat, x.target.Chat},
		{f.User, x.target.User},
		{f.Course, x.target.Course},
		{f.Department, x.target.Department},
		{f.WantedID, x.target.WantedID},
	} {
		if pair.want != "" && pair.want != pair.got {
			return false
		}
	}
	return true
}

// strikes reports whether the fault applies to the matching call that was just counted.
func (f *armedFault) strikes(random *rand.Rand) bool {
	switch {
	case f.At > 0:
		return f.matched == f.At
	case f.First > 0:
		return f.matched <= f.First
	case f.Share > 0:
		return random.Float64() < f.Share
	default:
		return true
	}
}

// beforeGateway reports whether the fault acts before the gateway. An answer with a
// code of the gateway does: it is not metered.
func (f *armedFault) beforeGateway(d *dialect) bool {
	switch f.Kind {
	case FaultRefused, FaultBan:
		return true
	case FaultHang, FaultReset, FaultOutage:
		return !f.Applied
	case FaultAnswer:
		return !f.Applied && d.codes[f.Code].gateway
	default:
		return false
	}
}

// insteadOfService reports whether the fault answers instead of the service, after the
// gateway has accepted and metered the call.
func (f *armedFault) insteadOfService() bool {
	return (f.Kind == FaultAnswer || f.Kind == FaultOddBody) && !f.Applied
}

// answer returns the fault's own answer.
func (f *armedFault) answer(x *exchange) answer {
	a := answer{status: http.StatusOK, contentType: x.endpoint.dialect.contentType}
	switch f.Kind {
	case FaultAnswer:
		a.body = []byte(f.Body)
		if f.Body == "" {
			a = x.endpoint.dialect.refuse(x.requestID, f.refusal(x.endpoint.permission))
		}
		a.code = f.Code
	case FaultOddBody:
		if a.body = []byte(f.Body); f.Body == "" {
			a.body = []byte("{}")
		}
	case FaultOutage:
		a = answer{status: cmp.Or(f.Status, http.StatusBadGateway), contentType: "text/html", body: []byte(f.Body)}
		if f.Body == "" {
			a.body = gatewayPage(a.status)
		}
	case FaultBan:
		a = banAnswer(x.requestID)
	case FaultHang:
		a.ending = endHang
	case FaultReset, FaultRefused:
		a.ending = endReset
	default: // the others leave the answer to the platform
	}
	if f.Status != 0 {
		a.status = f.Status
	}
	a.headers = f.Headers
	return a
}

func (f *armedFault) refusal(permission string) refusal {
	r := refusal{code: f.Code, message: f.Message}
	if f.Envelope != "" {
		nested := f.Envelope == "nested"
		r.nested = &nested
	}
	if f.Code == "60011" || f.Code == codeNoPermission {
		r.scopes = permission
	}
	return r
}

// bend applies to a finished answer what the fault does after the service. A nil fault
// changes nothing.
func (f *armedFault) bend(a answer, x *exchange) answer {
	if f == nil {
		return a
	}
	switch f.Kind {
	case FaultTruncated:
		a.body = a.body[:len(a.body)/2]
	case FaultAnswer, FaultOddBody, FaultHang, FaultReset, FaultOutage:
		if f.Applied {
			return f.answer(x)
		}
	default: // the others strike before the service
	}
	a.headers = f.Headers
	return a
}
