package dingtalk

import (
	"slices"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// Where the vendor documents the answers.
const (
	docs          = "https://open.dingtalk.com/document/development/"
	help          = "https://help.dingtalk.io/open/development/"
	docCodes      = docs + "server-api-error-codes-1"
	docThrottle   = docs + "how-to-process-api-throttling-on-the-dingtalk-server"
	docFrequency  = docs + "call-frequency-limit"
	docBilling    = docs + "dingtalk-application-development-platform-billing-model"
	docChat       = docs + "obtain-a-group-session"
	docToken      = docs + "obtain-the-access-token-of-an-internal-app"
	docPermission = docs + "add-api-permission"
	docNick       = help + "set-a-group-nickname"
	docGroup      = help + "api-updategroup"
	docID         = help + "api-changedingtalkid"
	docDedicated  = docs + "queries-the-details-of-a-dedicated-account"
)

// banWait is how long an address stays banned once it sent more than 10,000
// requests in 20 s. The ban covers every API and so every tenant of ours.
const banWait = 5 * time.Minute

// Tables returns a copy of every row that classifies the answers. The first fitting row
// applies, in the order of [CodesFor].
func Tables() []providers.Table {
	return []providers.Table{
		{Name: "bans", Codes: banRows(false)},
		{Name: apiChange + ", bans", Codes: banRows(true)[1:2]},
		{Name: "contacts", Codes: contactRows()},
		{Name: apiRobot, Codes: robotRows()},
		{Name: apiNick, Codes: legacyRows()},
		{Name: apiGroup, Codes: groupRows()},
		{Name: apiChange, Codes: changeRows()},
		{Name: "v1.0", Codes: newRows()},
		{Name: "HTTP status", Codes: statusRows()},
		{Name: apiNick + ", else", Codes: legacyElse()},
		{Name: apiChange + ", else", Codes: changeElse()},
		{Name: apiRobot + ", else", Codes: robotElse()},
		{Name: apiToken + ", else", Codes: tokenElse()},
		{Name: "else", Codes: elseRows()},
	}
}

// Codes returns the rows of all [Tables] in one list, as a copy.
func Codes() []providers.Code { return providers.Rows(Tables()) }

// CodesFor returns the rows of one call in the order they are tried, as a
// copy: "updategroupnick", "group/update", "dingTalkIds/change",
// "oauth2/accessToken", "robot/send", or one that lists contacts, such as [APIUsers]. Nil
// for any other name.
func CodesFor(api string) []providers.Code {
	switch api {
	case apiNick:
		return slices.Concat(legacyRows(), newRows(), statusRows(), legacyElse(), elseRows())
	case apiGroup:
		return slices.Concat(groupRows(), newRows(), legacyRows(), statusRows(), elseRows())
	case apiChange:
		return slices.Concat(changeRows(), newRows(), statusRows(), changeElse())
	case apiToken:
		return slices.Concat(newRows(), legacyRows(), statusRows(), tokenElse(), elseRows())
	case apiRobot:
		return slices.Concat(robotRows(), statusRows(), robotElse())
	case APIDepartment, APIDepartments, APIDepartmentIDs, APIUsers, APIUserIDs:
		return slices.Concat(contactRows(), legacyRows(), newRows(), statusRows(), legacyElse(), elseRows())
	}
	return nil
}

// codeBan is looked for before anything else, as [apicall.CodePage] is: {"status":1111}.
const codeBan = "1111"

// banRows classify the answers to a banned address. once is for a call that must not be
// repeated: a page instead of a success does not prove that nothing was changed.
func banRows(once bool) []providers.Code {
	page := providers.Code{
		Code: apicall.CodePage, Kind: providers.Throttled, Scope: providers.ScopeLane, Wait: 2 * time.Second, Tries: 3, Doc: docThrottle,
		Meaning: "an HTML page in place of an answer: our address may be banned, or something on the way asks for a login",
		Fix: "nothing at first: a call for a token finds out whether the address is banned; if it is not, look for a proxy, a firewall " +
			"or a login page between this machine and the host",
	}
	pages := []providers.Code{page}
	if once {
		unknown := page
		unknown.HTTP, unknown.Kind, unknown.Wait, unknown.Tries = "2xx", providers.Ambiguous, 0, 0
		pages = []providers.Code{unknown, page}
	}
	return append([]providers.Code{{
		Code: codeBan, Kind: providers.Throttled, Scope: providers.ScopeAddress, Wait: banWait, Unmetered: true, Doc: docThrottle,
		Meaning: "our address is banned: more than 10,000 requests in 20 s",
		Fix:     "nothing is sent from this address for five minutes; lower the configured rates if it comes back",
	}}, pages...)
}

// statusRows classify an answer by its status alone: it has no code, or an unlisted
// one.
func statusRows() []providers.Code {
	const host = "check the base URLs (their region and any path); if they are right, this is a fault of rollcall: report it"
	return slices.Concat(
		apicall.WayRows(),
		apicall.Alike(providers.Code{
			HTTP: "429", Kind: providers.Throttled, Scope: providers.ScopeLane, Wait: time.Second, Unmetered: true,
			Meaning: "too many requests", Fix: fixRate, Doc: docCodes,
		}, "", "*"),
		apicall.Alike(providers.Code{
			HTTP: "401", Kind: providers.TokenRejected, Scope: providers.ScopeTenant,
			Meaning: "the access token is missing or invalid", Fix: fixToken, Doc: docCodes,
		}, "", "*"),
		[]providers.Code{
			{
				HTTP: "403", Kind: providers.Throttled, Scope: providers.ScopeLane, Wait: 5 * time.Second, Tries: 3,
				Meaning: "no permission or too fast: a bare 403 does not say which", Doc: docCodes,
				Fix: "if it repeats at a low rate, look for a missing permission in the developer console",
			},
			{HTTP: "404", Kind: providers.Misconfigured, Scope: providers.ScopeLane, Meaning: "no such path", Fix: host, Doc: docCodes},
			{HTTP: "405", Kind: providers.Misconfigured, Scope: providers.ScopeLane, Meaning: "method not allowed", Fix: host, Doc: docCodes},
		},
	)
}

// elseRows are the last resort of the calls that may be repeated.
func elseRows() []providers.Code {
	gateway := providers.Code{HTTP: "502 503 504", Kind: providers.Transient, Quick: true, Meaning: "a gateway's fault", Doc: docCodes}
	unlisted := providers.Code{Kind: providers.Unknown, Tries: 2, Meaning: "an answer that no table lists", Fix: fixUnlisted}
	broken, odd := unlisted, unlisted
	broken.HTTP, broken.Kind, broken.Tries, broken.Meaning = "5xx 408", providers.Transient, 0, "a fault on their side"
	odd.HTTP, odd.Kind, odd.Tries, odd.Meaning = "2xx", providers.Transient, 3, "neither the documented success nor a known refusal"
	return slices.Concat(
		apicall.Alike(gateway, "", "*"),
		apicall.Alike(broken, "", "*"),
		apicall.Alike(odd, "", "*"),
		[]providers.Code{{HTTP: "400", Code: "*", Kind: providers.Rejected, Meaning: "a refusal that no table lists", Fix: fixUnlisted}},
		apicall.Alike(unlisted, "", "*"),
	)
}
