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
	banned    bool           // a banned address gets such an answer: code is codeBan or apicall.CodePage
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
		return reply{}
	}
	r := reply{
		object:    object,
		message:   object.Text("errmsg", "message", "Message", "description", "Description"),
		requestID: object.Text("request_id", "requestid", "RequestId", "requestId"),
	}
	switch errcode := object.Text("errcode"); {
	case object.Text("status") == codeBan:
		r.banned, r.code = true, codeBan
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
	if answer.Suspect() {
		r.banned, r.code = true, apicall.CodePage
	}
	row := api.find(answer.Status, r)
	row.Wait = wait(now, row, r.message)
	if len(r.scopes) > 0 && row.Kind == providers.Misconfigured {
		row.Fix = call.Clean.Message("grant the app the permission " + strings.Join(r.scopes, ", ") + " " + r.applyLink)
	}
	e, again := call.Failure(answer, row, r.code, r.message, now)
	e.RequestID = call.Clean.Word(r.requestID)
	if r.banned && r.code == codeBan { // nothing was processed, regardless of the status
		e.MaybeApplied, e.Unmetered = false, row.Unmetered
	}
	return "", e, again
}

// wait is how long to pause if no header says it: it prefers the end of a ban that the
// message names in Beijing time to the table. The message is a hint and no more: the
// vendor may reword it.
func wait(now time.Time, row providers.Code, message string) time.Duration {
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
