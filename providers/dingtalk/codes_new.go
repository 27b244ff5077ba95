package dingtalk

import (
	"slices"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

const fixQuota = "buy more calls (that takes effect at once), or wait for the first of the month"

// groupRows are the answers that only the group update gives.
func groupRows() []providers.Code {
	return []providers.Code{
		{
			Code: "parameter.invalid", Kind: providers.Rejected, Meaning: "a parameter is wrong: chat id, a name outside 1..20 characters, media id",
			Fix: "correct the group's row", Doc: docGroup,
		},
		{
			Code: "permession.checkFailed", Kind: providers.Rejected,
			Meaning: "no permission for this group, or its owner is outside the app's visible range",
			Fix:     "widen the app's visible range to the group's owner, or change the owner", Doc: docGroup,
		},
		{
			Code: "system.error", Kind: providers.Transient, Quick: true, Meaning: "system error",
			Fix: "if it stays, open a ticket with the platform and give the request id", Doc: docGroup,
		},
	}
}

// changeRows are the answers of the ID change, and what common answers mean for it. A
// change is possible once a year, so an answer after which it may have been applied is
// ambiguous. These rows are tried before the common ones.
func changeRows() []providers.Code {
	refused := func(code, meaning, fix string) providers.Code {
		return providers.Code{Code: code, Kind: providers.Rejected, Meaning: meaning, Fix: fix, Doc: docID}
	}
	const fixID = "an ID has 6 to 20 letters and digits, begins with a letter and contains no prohibited word"
	busy := providers.Code{
		HTTP: "403 429", Kind: providers.Throttled, Scope: providers.ScopeLane, Wait: time.Second,
		Meaning: "too fast, refused at the gateway", Fix: fixRate, Doc: docCodes,
	}
	fast := busy
	fast.Unmetered = true
	second := fast
	second.Period, second.Wait = time.Second, 0
	unsure := providers.Code{
		Kind: providers.Ambiguous, Doc: docCodes, Fix: fixUnsure,
		Meaning: "busy or broken: the change may have been applied",
	}
	odd := providers.Code{Kind: providers.Ambiguous, Fix: fixUnsure, Meaning: "not the documented success: the change may have been applied"}
	odd2, odd5 := odd, unsure
	odd2.HTTP, odd5.HTTP = "2xx", "5xx"
	return slices.Concat(
		apicall.Alike(second, "qps.exceed.limit"),
		apicall.Alike(fast, "request.too.fast", "request.overlimit"),
		apicall.Alike(busy, "system.busy", "systemBusy", "systemError.busy"),
		apicall.Alike(odd2, "", "*"),
		apicall.Alike(odd5, "", "*"),
		[]providers.Code{
			refused("incorrect.format", "the ID's form is wrong", fixID),
			refused("incorrect.length", "the ID's length is wrong", fixID),
			refused(CodeIDTaken, "the ID is taken, by anyone on the platform", "choose another ID; if its owner changes it within 7 days, this is sent again automatically"),
			refused(codeIDLocked, "the ID was set before and is locked for a year", "look at the person's ID in the client; only time unlocks it"),
			refused("emp.not.exist", "no such employee", fixUser),
			{
				Code: "internalenterpriseaccount.limit", Kind: providers.Rejected, Doc: docDedicated,
				Meaning: "not an enterprise account of this organisation",
				Fix:     "only enterprise accounts that the organisation owns can be changed; if all fail so, the feature is not bought",
			},
		},
		apicall.Alike(unsure, "qps.exceed.limit", "request.too.fast", "request.overlimit",
			"system.*", "*Busy", "*SystemError", "systemError*", "unknownError", "service*", "operationTimeout"),
	)
}

const fixUnsure = "look at the person's ID in the client before anything else is sent; only the very same ID may be sent again"

// changeElse are the last rows of the ID change: an answer with a refusal code is a
// refusal, any other an unknown outcome.
func changeElse() []providers.Code {
	return slices.Concat(
		[]providers.Code{{HTTP: "4xx", Code: "*", Kind: providers.Rejected, Meaning: "a refusal that no table lists", Fix: fixUnlisted}},
		apicall.Alike(providers.Code{Kind: providers.Ambiguous, Fix: fixUnsure, Meaning: "an answer that cannot be read"}, "", "*"),
	)
}

// tokenElse are the last rows of the token call: it uses nothing from a task, so no
// refusal is a task's fault.
func tokenElse() []providers.Code {
	return apicall.Alike(providers.Code{
		HTTP: "400", Kind: providers.Misconfigured, Scope: providers.ScopeTenant,
		Meaning: "no token is given out", Fix: fixKey, Doc: docToken,
	}, "", "*")
}

// newRows are common to every call of the api host. Throttling shares status
// 403 with missing permissions, so it is looked for first.
func newRows() []providers.Code {
	throttled := func(scope providers.Scope, period time.Duration, meaning, doc string) providers.Code {
		return providers.Code{
			Kind: providers.Throttled, Scope: scope, Period: period, Unmetered: true, Meaning: meaning, Fix: fixRate, Doc: doc,
		}
	}
	const denied = "Forbidden.AccessDenied."
	lane, api := providers.ScopeLane, providers.ScopeAPI
	daily := throttled(lane, 0, "today's limit of calls is reached", docCodes)
	daily.Daily = true
	unlisted := throttled(lane, 0, "too fast, by a limit that no table lists", "")
	unlisted.Wait = time.Second
	fast := throttled(lane, 0, "too many requests, in what time it does not say", docCodes)
	fast.Wait = time.Second
	busy := throttled(lane, 0, "too frequent, or the system is busy", docCodes)
	busy.Wait, busy.Unmetered = time.Second, false // a busy system may have counted it
	quota := providers.Code{
		Kind: providers.QuotaSpent, Scope: providers.ScopeOrganisation, Unmetered: true,
		Meaning: "the organisation's calls of this month are used up", Fix: fixQuota, Doc: docThrottle,
	}
	return slices.Concat(
		apicall.Alike(quota, denied+"ApiCountLimitForOrg", "*ApiCountLimit*"),
		apicall.Alike(throttled(lane, time.Second, "too fast: the app's calls of this API in a second", docThrottle), denied+"QpsLimitForAppkeyAndApi"),
		apicall.Alike(throttled(lane, time.Minute, "too fast: the app's calls of this API in a minute", docCodes), denied+"QpmLimitForAppkeyAndApi"),
		apicall.Alike(throttled(api, time.Second, "too fast: everybody's calls of this API together", docThrottle), denied+"QpsLimitForApi"),
		apicall.Alike(throttled(lane, time.Second, "too fast, by a limit for third-party apps", docCodes), denied+"QpsLimitForSuitekeyAndOrgAndApi"),
		apicall.Alike(throttled(lane, time.Minute, "too fast, by a limit for third-party apps", docCodes), denied+"QpmLimitForSuitekeyAndOrgAndApi"),
		apicall.Alike(throttled(lane, time.Second, "too fast, by a limit that no table lists", ""), "*QpsLimit*"),
		apicall.Alike(throttled(lane, time.Minute, "too fast, by a limit that no table lists", ""), "*QpmLimit*"),
		apicall.Alike(unlisted, "Throttling*"),
		apicall.Alike(throttled(lane, time.Second, "too many requests in a second", docCodes), "qps.exceed.limit"),
		apicall.Alike(fast, "request.too.fast", "request.overlimit"),
		apicall.Alike(busy, "system.busy", "systemBusy", "systemError.busy"),
		apicall.Alike(daily, "daily.call.limit", "integrated.qps.exceed"),
		newAccess(),
		newFaults(),
	)
}

func newAccess() []providers.Code {
	rejected := providers.Code{
		Kind: providers.TokenRejected, Scope: providers.ScopeTenant, Fix: fixToken, Doc: docCodes,
		Meaning: "the access token is not valid or too old",
	}
	held := func(scope providers.Scope, code, meaning, fix, doc string) providers.Code {
		return providers.Code{Code: code, Kind: providers.Misconfigured, Scope: scope, Meaning: meaning, Fix: fix, Doc: doc}
	}
	const (
		tenant = providers.ScopeTenant
		lane   = providers.ScopeLane // permissions are granted API by API
		grant  = "grant the app the permission that the call's page names, in the developer console"
	)
	return slices.Concat(
		apicall.Alike(rejected, "InvalidAuthentication", "invalidToken", "invalidAccessToken", "accesstoken.expired"),
		[]providers.Code{
			held(lane, "AuthenticationFailed.MissingParameter", "the access token is missing", fixReport, docCodes),
			held(lane, "commonParamIllegal", "a common parameter is wrong", fixReport, docCodes),
			held(tenant, "invalidClientIdOrSecret", "the app key or secret is wrong", fixKey, docToken),
			held(tenant, "invalid.client", "the app key or secret is wrong, or of the other region", fixKey, docs+"api-gettoken"),
			held(tenant, "unauthorized.client", "the app is not authorised", fixKey, docCodes),
			held(lane, "Forbidden.AccessDenied.AccessTokenPermissionDenied", "the app lacks a permission", grant, docPermission),
			held(tenant, "Forbidden.AccessDenied.IpNotInWhiteList", "our address is not on the app's list",
				"add this machine's outgoing address to the app's list in the developer console", docCodes),
			held(lane, "permissions.error", "the app lacks a permission", grant, docCodes),
			held(lane, "permissionDenied", "the app lacks a permission", grant, docCodes),
			held(lane, "apiPermissionDenied", "the app lacks a permission", grant, docCodes),
			held(tenant, "orgAuthLevelNotEnough", "the organisation's certification is too low",
				"certify the organisation at a higher level", docCodes),
			held(tenant, "no.priviledge", "the organisation is not on the API's list", "ask the platform to open the API", docCodes),
			held(tenant, "forbidden.accessDenied.realmControl", "the organisation's security policy forbids it",
				"change the policy in the organisation's console", docCodes),
			held(lane, "Forbidden.*", "access denied, for a reason that no table lists", grant, ""),
		},
	)
}

func newFaults() []providers.Code {
	row := providers.Code{Kind: providers.Transient, Quick: true, Meaning: "a fault on their side", Doc: docCodes}
	own := row
	own.Doc = ""
	return slices.Concat(
		apicall.Alike(row, "system.error", "systemError", "innerSystemError", "service.error", "unknownError",
			"serviceBusy", "operationTimeout", "service.timeout"),
		apicall.Alike(own, "ServiceUnavailable*"),
	)
}
