package apicall

import (
	"strconv"
	"strings"

	"rollcall/providers"
)

// Find returns the first row that fits the answer. Codes are compared
// case-insensitively, because the platforms vary in their spelling.
func Find(rows []providers.Code, status int, code string) (providers.Code, bool) {
	for _, row := range rows {
		if fitsStatus(row.HTTP, status) && fitsCode(row.Code, code) {
			return row, true
		}
	}
	return providers.Code{}, false
}

// Alike returns the row once for each code.
func Alike(row providers.Code, codes ...string) []providers.Code {
	all := make([]providers.Code, len(codes))
	for i, code := range codes {
		all[i] = row
		all[i].Code = code
	}
	return all
}

// WayRows classify an answer that comes from something on the way to a platform.
func WayRows() []providers.Code {
	redirect := providers.Code{
		HTTP: "3xx", Kind: providers.Misconfigured, Scope: providers.ScopeTenant,
		Meaning: "a redirect, which is never followed", Fix: "set the base URL to the platform's own host",
	}
	proxy := providers.Code{
		HTTP: "407", Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Meaning: "a proxy wants a user name and a password",
		Fix: "check the base URL, and HTTPS_PROXY and NO_PROXY in the worker's environment",
	}
	return append(Alike(redirect, "", "*"), Alike(proxy, "", "*")...)
}

func fitsStatus(spec string, status int) bool {
	if spec == "" {
		return true
	}
	for want := range strings.FieldsSeq(spec) {
		class, isClass := strings.CutSuffix(want, "xx")
		if isClass && class == strconv.Itoa(status/100) || want == strconv.Itoa(status) {
			return true
		}
	}
	return false
}

func fitsCode(pattern, code string) bool {
	if pattern == "" || code == "" {
		return pattern == code
	}
	pattern, code = strings.ToLower(pattern), strings.ToLower(code)
	tail, openFront := strings.CutPrefix(pattern, "*")
	middle, openBack := strings.CutSuffix(tail, "*")
	switch {
	case openFront && openBack:
		return strings.Contains(code, middle)
	case openFront:
		return strings.HasSuffix(code, tail)
	case openBack:
		return strings.HasPrefix(code, middle)
	default:
		return code == pattern
	}
}
