package sandbox

import (
	"mime"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

type idOrder struct {
	UserID     string `json:"userId"`
	DingTalkID string `json:"dingTalkId"`
}

// changeIDEndpoint changes the DingTalk ID of an enterprise account, once a year. Its
// page on help.dingtalk.io: "Call this API to change the DingTalk ID of an Enterprise
// Account".
func changeIDEndpoint() *endpoint {
	return &endpoint{
		api: APIChangeID, path: "/v1.0/contact/orgAccounts/dingTalkIds/change", dialect: newDialect(),
		metered: true, permission: "qyapi_manage_addresslist",
		read: func(x *exchange) *refusal {
			var order idOrder
			if r := readJSON(x, &order); r != nil {
				return r
			}
			x.target = Target{User: order.UserID, WantedID: order.DingTalkID}
			x.order = order
			return nil
		},
		identify: identifyByToken, authenticate: authenticateByHeader, run: runChangeID,
	}
}

// readJSON decodes the body of a call under /v1.0. Unknown keys are ignored, as at the
// platform; a key in another case is unknown.
func readJSON(x *exchange, into any) *refusal {
	x.token = x.header.Get(tokenHeader)
	if media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type")); media != jsonType {
		return &refusal{code: codeIllegalBody, message: "Content-Type: want " + jsonType}
	}
	if err := json.Unmarshal(x.body, into); err != nil {
		return &refusal{code: codeIllegalBody, message: "the body does not fit the API: " + err.Error()}
	}
	return nil
}

func authenticateByHeader(s *Sandbox, x *exchange) *refusal {
	if x.token == "" {
		return &refusal{code: "AuthenticationFailed.MissingParameter"}
	}
	if !s.tokenIsLive(x) {
		return &refusal{code: x.endpoint.dialect.badToken}
	}
	return nil
}

var idFormat = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// runChangeID looks at the text first, then at the person, then at the lock
// and the other IDs. The vendor names the refusals and not their order.
func runChangeID(s *Sandbox, x *exchange) outcome {
	order, _ := x.order.(idOrder)
	wanted := order.DingTalkID
	if n := utf8.RuneCountInString(wanted); n < 6 || n > 20 {
		return refused("incorrect.length")
	}
	if !idFormat.MatchString(wanted) || containsAny(wanted, s.platform.prohibitedIDs) {
		return refused("incorrect.format")
	}
	employee := x.org.byUserID[order.UserID]
	if employee == nil {
		return refused("emp.not.exist")
	}
	if !employee.EnterpriseAccount {
		return refused("internalenterpriseaccount.limit")
	}
	now := s.clock()
	if wanted == employee.DingTalkID && s.repeatedID != RepeatLocked {
		if s.repeatedID == RepeatReserved {
			return refused("incorrect.reserved")
		}
		return changedID(nil)
	}
	if lockedForAYear(employee.IDSetAt, now) {
		return refused("have.been.set")
	}
	if s.platform.dingTalkIDs[wanted] {
		return refused("incorrect.reserved")
	}
	change := Change{Field: "dingTalkId", Old: employee.DingTalkID, New: wanted}
	delete(s.platform.dingTalkIDs, employee.DingTalkID)
	s.platform.dingTalkIDs[wanted] = true
	employee.DingTalkID, employee.IDSetAt = wanted, now
	return changedID([]Change{change})
}

func changedID(changes []Change) outcome {
	return outcome{changes: changes, body: struct {
		Result bool `json:"result"`
	}{true}}
}

// lockedForAYear reports whether an ID set at a time is still locked now. The
// lock opens at the same time of day, a calendar year later.
func lockedForAYear(set, now time.Time) bool {
	return !set.IsZero() && now.Before(set.AddDate(1, 0, 0))
}
