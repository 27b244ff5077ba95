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
