package dingtalk

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// reply is an answer's body, in either of the platform's two shapes. The new host
// sometimes answers in the legacy shape, and the old host in the new one.
type reply struct {
	object    apicall.Object // nil if the body is no JSON object
	page      bool           // the body is an HTML page
	ban       string         // codeBan or codePage if a banned address gets such an answer
	code      string         // empty if it carries none
	nested    bool           // code is the sub_code of errcode 88
	message   string
	requestID string
	scopes    []string // the permissions that the app lacks
	applyLink string   // where a person asks for them
}

var (
	nestedCode     = regexp.MustCompile(`subcode=([^,\]\s]+)`)
	requiredScopes = regexp.MustCompile(`requiredScopes=\[([^\]]*)\]`)
	// namedScopes is the message's other way to name them: "permission: [a,b]".
	namedScopes = regexp.MustCompile(`权限\s*[:：]\s*\[([A-Za-z][\w., ]*)\]`)
	link        = regexp.MustCompile(`https://[^\s\]，。"']+`)
	banEnd      = regexp.MustCompile(`(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) ?结束`)
)

// beijing is the platform's time; it has no daylight saving.
var beijing = time.FixedZone("UTC+8", 8*60*60)

func parse(answer apicall.Answer) reply {
	object, ok := apicall.ParseObject(answer.Body)
	if !ok {
		return reply{page: answer.Page()}
	}
	r := reply{
		object:    object,
		message:   object.Text("errmsg", "message", "Message", "description", "Description"),
		requestID: object.Text("request_id", "requestid", "RequestId", "requestId"),
	}
	switch errcode := object.Text("errcode"); {
	case object.Text("status") == codeBan:
		r.ban, r.code = codeBan, codeBan
	case errcode == "88":
		r.readNested()
	case errcode == "0" && answer.Status != 200:
		// The body reports success, but the status does not.
	case errcode != "":
		r.code = errcode
	default:
		r.code = object.Text("code", "Code")
		detail := object.Object("accessdenieddetail", "AccessDeniedDetail", "accessDeniedDetail")
		r.scopes = detail.Texts("requiredScopes", "RequiredScopes")
	}
	for _, form := range []*regexp.Regexp{requiredScopes, namedScopes} {
		if found := form.FindStringSubmatch(r.message); found != nil && len(r.scopes) == 0 {
			r.scopes = strings.FieldsFunc(found[1], func(c rune) bool { return c == ',' || c == ' ' })
		}
	}
	if len(r.scopes) > 0 {
		r.applyLink = ownLink(r.message)
	}
	return r
}

// readNested reads a gateway's error: its code is in sub_code, or only in errmsg.
func (r *reply) readNested() {
	r.code, r.nested = r.object.Text("sub_code", "subcode"), true
	if r.code == "" {
		if found := nestedCode.FindStringSubmatch(r.message); found != nil {
			r.code = found[1]
		}
	}
	if r.code == "" {
		r.code, r.nested = "88", false
	}
	if text := r.object.Text("sub_msg", "submsg"); text != "" && !strings.Contains(r.message, text) {
		r.message = strings.TrimSpace(r.message + " " + text)
	}
}

// ownLink returns the first link in text that leads to the platform itself.
func ownLink(text string) string {
	for _, found := range link.FindAllString(text, -1) {
		found = strings.TrimRight(found, ",.;)}）；、") // the sentence's, not the link's
		u, err := url.Parse(found)
		if err == nil && (inDomain(u.Hostname(), "dingtalk.com") || inDomain(u.Hostname(), "dingtalk.io")) {
			return found
		}
	}
	return ""
}

func inDomain(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// judge turns an answer into its verdict: nil for the documented success, and
// again if a quick try is worth it.
func judge(now time.Time, call *apicall.Call, api api, answer apicall.Answer) (string, *providers.Error, bool) {
	r := parse(answer)
	if answer.Status == 200 && api.success(r.object) {
		return call.Clean.Word(r.requestID), nil, false
	}
	suspect := r.page && !answer.StatusSpeaks()
	if suspect {
		r.ban, r.code = codePage, codePage
	}
	row := api.find(answer.Status, r)
	e := call.Error(row.Kind, row.Scope)
	e.Suspect = suspect
	e.HTTPStatus, e.Tries, e.Period, e.Fix = answer.Status, row.Tries, row.Period, row.Fix
	e.RequestID = call.Clean.Word(r.requestID)
	e.Code = call.Clean.Word(r.code)
	e.Message = call.Clean.Message(r.message)
	if e.Message == "" {
		e.Message = row.Meaning
	}
	if r.page && !suspect {
		e.Message += " (an HTML page, not the platform's own answer)"
	}
	if answer.Note != "" {
		e.Message = call.Clean.Message(answer.Note)
	}
	if len(r.scopes) > 0 && row.Kind == providers.Misconfigured {
		e.Fix = call.Clean.Message("grant the app the permission " + strings.Join(r.scopes, ", ") + " " + r.applyLink)
	}
	said := apicall.RetryAfter(answer.Header, now)
	e.RetryAfter = wait(now, said, row, r.message)
	e.MaybeApplied = row.Kind.Unclear() || answer.Status >= 500 && r.ban != codeBan
	e.Unmetered = row.Unmetered && !e.MaybeApplied
	return "", e, row.Quick && said == 0
}

// wait prefers the platform's header, then the end of a ban that its message
// names in Beijing time, then the table. The message is a hint and no more: the
// vendor may reword it.
func wait(now time.Time, said time.Duration, row providers.Code, message string) time.Duration {
	if said > 0 {
		return said
	}
	if found := banEnd.FindStringSubmatch(message); found != nil && row.Kind == providers.Throttled {
		if end, err := time.ParseInLocation(time.DateTime, found[1], beijing); err == nil && end.After(now) {
			return apicall.Bound(end.Sub(now))
		}
	}
	if row.Daily {
		y, m, d := now.In(beijing).Date()
		return time.Date(y, m, d+1, 0, 0, 0, 0, beijing).Sub(now)
	}
	return row.Wait
}
