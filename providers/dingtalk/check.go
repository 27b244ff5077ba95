package dingtalk

import (
	"unicode/utf8"

	"rollcall/providers/internal/apicall"
)

type field struct {
	name, value string
	required    bool
}

// firstBad describes the first field that the platform would certainly refuse, because
// a refusal costs a metered call. It never quotes the value.
func firstBad(fields ...field) string {
	for _, f := range fields {
		switch {
		case f.required && f.value == "":
			return "the " + f.name + " is empty"
		case !utf8.ValidString(f.value):
			return "the " + f.name + " is not valid UTF-8"
		}
	}
	return ""
}

func (c *Client) refuse(a api, why string) error {
	call := &apicall.Call{Platform: platform, Tenant: c.tenant, API: a.name}
	return call.Refuse(why, "correct the task; nothing was sent")
}
