package tasks

import (
	"fmt"
	"regexp"
)

// KindID is the kind of an employee's DingTalk ID.
const KindID Kind = "id"

// IDChange changes an employee's DingTalk ID
// (POST https://api.dingtalk.io/v1.0/contact/orgAccounts/dingTalkIds/change).
// The platform allows it once a year, and it cannot be undone.
type IDChange struct {
	Tenant     string `json:"tenant"`
	UserID     string `json:"user_id"`
	DingTalkID string `json:"dingtalk_id"` // a letter, then 5 to 19 letters and digits
	// Alternatives are at most 10 further IDs, tried in this order when another person has
	// the ID before: IDs are unique across all organisations.
	Alternatives []string `json:"alternatives,omitempty"`
}

var dingTalkIDPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{5,19}$`)

// Validate implements [Task].
func (t IDChange) Validate(Limits) error {
	var x examiner
	x.tenant(t.Tenant)
	x.id("user_id", t.UserID)
	if t.DingTalkID == "" {
		x.add("dingtalk_id", "is missing")
	} else {
		x.dingTalkID("dingtalk_id", t.DingTalkID)
	}
	if n := len(t.Alternatives); n > MaxAlternatives {
		x.add("alternatives", "has %d entries, at most %d", n, MaxAlternatives)
	}
	seen := map[string]string{t.DingTalkID: "dingtalk_id"}
	for i, id := range t.Alternatives {
		field := fmt.Sprintf("alternatives[%d]", i)
		x.dingTalkID(field, id)
		x.distinct(seen, field, id)
	}
	return x.verdict(KindID)
}

func (x *examiner) dingTalkID(field, id string) {
	if !dingTalkIDPattern.MatchString(id) {
		x.add(field, "must be 6 to 20 letters and digits of ASCII, beginning with a letter")
	}
}

// Lane implements [Task].
func (t IDChange) Lane() (tenant string, kind Kind) { return t.Tenant, KindID }

func (IDChange) task() {}
