package dingtalk

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// IDChange gives an enterprise account a DingTalk ID.
type IDChange struct {
	UserID     string `json:"userId"`
	DingTalkID string `json:"dingTalkId"` // 6..20 letters and digits, a letter first; unique among everyone
}

// CodeIDTaken is the answer to an ID that another user has.
const CodeIDTaken = "incorrect.reserved"

const codeIDLocked = "have.been.set"

// IsIDTaken reports whether ChangeID returned err because another user has the ID.
func IsIDTaken(err error) bool { return isRejected(err, CodeIDTaken) }

// IsIDLocked reports whether ChangeID returned err because the user's ID was changed
// within a year.
func IsIDLocked(err error) bool { return isRejected(err, codeIDLocked) }

func isRejected(err error, code string) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && e.Kind == providers.Rejected && e.Code == code
}

// ChangeID changes a user's DingTalk ID. A change is possible once a year, and cannot
// be undone or read back. The request is therefore never repeated here once it has
// left. Every outcome that is neither the documented success nor a definite refusal is
// Ambiguous. See https://help.dingtalk.io/open/development/api-changedingtalkid.
func (c *Client) ChangeID(ctx context.Context, gate providers.Gate, change IDChange) (providers.Receipt, error) {
	if why := firstBad(field{"user id", change.UserID, true}, field{"dingtalk id", change.DingTalkID, true}); why != "" {
		return providers.Receipt{}, c.refuse(c.change, why)
	}
	body, err := json.Marshal(change)
	if err != nil {
		return providers.Receipt{}, c.refuse(c.change, "a text is not valid UTF-8")
	}
	return c.do(ctx, gate, c.change, nil, withToken(c.change, body))
}

func changeDone(o apicall.Object) bool { return o.True("result") }
