package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// endpoint is one API: where it lives, how it talks, and its four steps. read
// sees nothing but the request; the others run under the lock of the Sandbox.
type endpoint struct {
	api        string
	path       string
	dialect    *dialect
	metered    bool
	permission string // of the app; empty: none is needed
	// success is the code of a success, for the log. Empty: "ok".
	success string
	// wrongMethod is the code for another method than POST. Empty: that of the new host.
	wrongMethod string

	// read decodes the body and names the target, as far as it can. Its
	// refusal is answered only after the gateway has let the call pass.
	read func(x *exchange) *refusal
	// identify finds the caller, even if the credentials are stale.
	identify func(s *Sandbox, x *exchange)
	// authenticate judges the credentials.
	authenticate func(s *Sandbox, x *exchange) *refusal
	// run carries the call out.
	run func(s *Sandbox, x *exchange) outcome
}

// outcome is a success, a refusal, or (ClassIn's 842) changes with a refusal.
type outcome struct {
	refusal *refusal
	changes []Change
	body    any // of a success
}

func refused(code string) outcome { return outcome{refusal: &refusal{code: code}} }

func refusedBecause(code, message string) outcome {
	return outcome{refusal: &refusal{code: code, message: message}}
}

const classInPath = "/partner/api/course.api.php"

func endpoints() []*endpoint {
	return append([]*endpoint{
		tokenEndpoint(), groupNickEndpoint(), groupUpdateEndpoint(), changeIDEndpoint(), classNickEndpoint(),
		editStudentEndpoint(), studentNickEndpoint(), robotEndpoint(),
	}, contactEndpoints()...)
}

func apiNames() []string {
	var names []string
	for _, e := range endpoints() {
		names = append(names, e.api)
	}
	return names
}

// dialectOf returns the dialect of an API, nil for one that is not known.
func dialectOf(api string) *dialect {
	for _, e := range endpoints() {
		if e.api == api {
			return e.dialect
		}
	}
	return nil
}

func knownAPI(name string) bool {
	return slices.Contains(apiNames(), name)
}

// route returns the endpoint of a request, or one that refuses it in the form of the
// host that the path belongs to.
func (s *Sandbox) route(r *http.Request) *endpoint {
	path, action := r.URL.Path, r.URL.Query().Get("action")
	for _, e := range s.endpoints {
		if e.path != path || (path == classInPath && action != e.api) {
			continue
		}
		if r.Method != http.MethodPost {
			return wrongMethod(e)
		}
		return e
	}
	switch {
	case strings.HasPrefix(path, "/topapi/"):
		return stray(legacyDialect(), refusal{code: "22", message: path})
	case strings.HasPrefix(path, "/v1.0/"):
		return stray(newDialect(), refusal{code: "InvalidAction.NotFound"})
	case strings.HasPrefix(path, schoolUserPath):
		return stray(schoolUserDialect(), refusal{code: "101001001", message: "no such path: " + path})
	case path == classInPath:
		return stray(classInDialect(), refusal{code: "100", message: "unknown action " + action})
	default:
		// The new host answers a path without its version in the old host's shape.
		return stray(legacyDialect(), refusal{code: "404"})
	}
}

func wrongMethod(e *endpoint) *endpoint {
	return stray(e.dialect, refusal{code: cmp.Or(e.wrongMethod, "UnsupportedHTTPMethod")})
}

// stray is the endpoint of a request that belongs to none: it refuses.
func stray(d *dialect, r refusal) *endpoint {
	return &endpoint{
		dialect:      d,
		read:         func(*exchange) *refusal { return nil },
		identify:     func(*Sandbox, *exchange) {},
		authenticate: func(*Sandbox, *exchange) *refusal { return &r },
		run:          func(*Sandbox, *exchange) outcome { return outcome{refusal: &r} },
	}
}
