package dingtalk

import (
	"slices"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// The advice that several codes share.
const (
	fixToken = "a fresh token was refused as well: check that both base URLs belong to the app's region, " +
		"that the app key is this organisation's, and that the app is enabled"
	fixUnlisted = "look the code up in the vendor's list and report it, so that it is added to the table"
	fixReport   = "this is a fault of rollcall: report it with the request id"
	fixKey      = "check the app key and the app secret in the developer console"
	fixCorp     = "check that the app key belongs to this organisation"
	fixRate     = "if it comes back often, lower the configured rate"
	fixUser     = "correct the user id in the roster"
	fixGroup    = "check the chat id: only ids from the server-side call that creates a group are accepted"
	fixName     = "choose another name"
	fixApp      = "open the app in the developer console and publish or enable it"
	fixEnable   = "ask the platform's support for the organisation's state"
)

// nested marks a sub_code of errcode 88 whose meaning differs from that of the same
// number as an errcode.
const nested = "88/"

// legacyRows are the answers of the oapi host. It always answers HTTP 200; a gateway's
// own code is the sub_code of errcode 88.
func legacyRows() []providers.Code {
	return slices.Concat(legacyPace(), legacyAccess(), legacyTask(), []providers.Code{
		{Code: "-1", Kind: providers.Transient, Tries: 3, Quick: true, Meaning: "system busy", Doc: docCodes},
		{Code: "400001", Kind: providers.Transient, Quick: true, Meaning: "system error, try again later", Doc: docNick},
		{
			HTTP: "200", Code: "0", Kind: providers.Transient, Tries: 3, Meaning: "says it went well and does not say success",
			Fix: "look whether the name changed; the answer contradicts itself",
		},
	})
}

func legacyPace() []providers.Code {
	slow := func(code string, scope providers.Scope, wait time.Duration, meaning string) providers.Code {
		return providers.Code{
			Code: code, Kind: providers.Throttled, Scope: scope, Wait: wait, Unmetered: true, Meaning: meaning, Fix: fixRate, Doc: docCodes,
		}
	}
	isv := slow("", providers.ScopeTenant, time.Minute, "too fast, by a limit for third-party apps")
	isv.Fix = "not expected for an internal app: check the app's type"
	return slices.Concat([]providers.Code{
		{
			Code: "90018", Kind: providers.Throttled, Scope: providers.ScopeLane, Period: time.Second, Unmetered: true,
			Meaning: "too fast: the app's calls of this API in a second", Fix: fixRate, Doc: docThrottle,
		},
		{
			Code: "90002", Kind: providers.Throttled, Scope: providers.ScopeAPI, Period: time.Second, Unmetered: true,
			Meaning: "too fast: everybody's calls of this API together", Fix: "avoid the top of the hour", Doc: docFrequency,
		},
		slow("90005", providers.ScopeLane, time.Minute, "the organisation calls this API too often"),
		slow("90006", providers.ScopeLane, time.Minute, "the credential calls this API too often"),
		slow("90003", providers.ScopeTenant, banWait, "the organisation is shut out of all APIs for a while"),
		slow("90004", providers.ScopeTenant, banWait, "the credential is shut out of all APIs for a while"),
		slow("90001", providers.ScopeAddress, banWait, "our server is shut out of all APIs for a while"),
		slow("45009", providers.ScopeLane, time.Minute, "the limit of calls is reached"),
		{
			Code: "90020", Kind: providers.QuotaSpent, Scope: providers.ScopeOrganisation, Unmetered: true,
			Meaning: "the organisation's calls of this month are used up", Fix: fixQuota, Doc: docThrottle,
		},
		{
			Code: "90017", Kind: providers.Misconfigured, Scope: providers.ScopeAddress,
			Meaning: "too many organisations call from one address", Fix: "spread the tenants over several addresses", Doc: docCodes,
		},
	}, apicall.Alike(isv, "90007", "90008", "90009", "90010", "90011", "90012", "90013", "90014", "90019"))
}

func legacyAccess() []providers.Code {
	rejected := providers.Code{Kind: providers.TokenRejected, Scope: providers.ScopeTenant, Fix: fixToken, Doc: docCodes}
	corp := providers.Code{
		Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Fix: fixCorp, Doc: docCodes,
		Meaning: "the organisation's id is wrong or missing",
	}
	key := providers.Code{
		Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Fix: fixKey, Doc: docCodes,
		Meaning: "the app key or secret is wrong",
	}
	ours := providers.Code{Kind: providers.Misconfigured, Scope: providers.ScopeLane, Fix: fixReport, Doc: docCodes}
	app := providers.Code{Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Doc: docCodes}
	granted := app
	granted.Scope = providers.ScopeLane // permissions are granted API by API
	say := func(row providers.Code, code, meaning, fix string) providers.Code {
		row.Code, row.Meaning = code, meaning
		if fix != "" {
			row.Fix = fix
		}
		return row
	}
	return slices.Concat([]providers.Code{
		say(rejected, "40014", "the access token is not valid", ""),
		say(rejected, "42001", "the access token is too old", ""),
		say(rejected, "40001", "the access token is not valid, or the secret is wrong", ""),
		say(rejected, "43007", "not authorised, or the token of another app",
			"grant the app the permission qyapi_chat_manage, and check that the app key is this organisation's"),
		say(ours, nested+"40000", "the access token is blank", ""),
		say(ours, "41001", "the access token is missing", ""),
		say(granted, "60011", "the app lacks a permission", "grant the app the permission qyapi_chat_manage"),
		say(app, "60020", "our address is not on the app's list", "add this machine's outgoing address to the app's list in the developer console"),
		say(granted, "48002", "the API is disabled for the app", "enable the API in the developer console"),
		say(app, "50003", "the app is disabled", fixApp),
		say(app, "50005", "the organisation is disabled", fixEnable),
		say(app, "70001", "the organisation is disabled or dissolved", fixEnable),
	},
		apicall.Alike(say(app, "", "the app is not installed in the organisation", fixApp), "70003", "70004"),
		apicall.Alike(corp, "33001", "40013", "41002", "52010"),
		apicall.Alike(key, "40089", "40096"),
		[]providers.Code{
			say(ours, "22", "no such method", ""),
			say(ours, "404", "no such path", ""),
		},
		apicall.Alike(say(ours, "", "wrong HTTP method, scheme or kind of request", ""),
			"43001", "43002", "43003", "43004", "43005", "43008", "43009"),
		apicall.Alike(say(ours, "", "the request's body is empty or cannot be read", ""), "44002", "47001"),
	)
}

func legacyTask() []providers.Code {
	row := func(meaning, fix, doc string) providers.Code {
		return providers.Code{Kind: providers.Rejected, Meaning: meaning, Fix: fix, Doc: doc}
	}
	return slices.Concat(
		apicall.Alike(row("no such user in the organisation", fixUser, docNick), "40003"),
		apicall.Alike(row("no such user in the organisation", fixUser, docCodes), "33012", "60111", "60121", "46004"),
		apicall.Alike(row("the user is disabled", fixUser, docCodes), "60120"),
		apicall.Alike(row("the user is not in the group", "this user is not in the chat: add them to the chat or remove the row", docNick), "60124"),
		apicall.Alike(row("the user is outside the app's visible range",
			"widen the app's visible range in the developer console; if most of a run ends so, the range is the cause", docCodes), "50002"),
		apicall.Alike(row("the chat id is not valid", fixGroup, docNick), "34001"),
		apicall.Alike(row("the group is not found", fixGroup, docCodes), "34013", "40016", "49000"),
		apicall.Alike(row("only the group's owner may do this", "change the group's owner or its management setting", docCodes), "49003"),
		apicall.Alike(row("no access to this group", "let the app's owner join the group, or take the group out of the roster", docCodes), "400020"),
		apicall.Alike(row("the name contains prohibited content", fixName, docNick), "41049"),
		apicall.Alike(row("the name contains sensitive words", fixName, docCodes), "60022"),
		apicall.Alike(row("a character is sent as \\uXXXX", fixReport, docCodes), "40033"),
		apicall.Alike(row("a parameter is wrong", "check the ids and the name's length", docNick), "400002"),
		apicall.Alike(row("a parameter is wrong or too long", "check the ids and the name's length", docCodes),
			"40035", "40000", "40038", "41101", "41102"),
	)
}

// legacyElse: the oapi host answers 200 to everything, so there a code that is
// not listed is no more than that.
func legacyElse() []providers.Code {
	return []providers.Code{{
		HTTP: "2xx", Code: "*", Kind: providers.Unknown, Tries: 2,
		Meaning: "a code that no table lists", Fix: fixUnlisted, Doc: docCodes,
	}}
}
