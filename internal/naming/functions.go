package naming

import (
	"maps"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/text/unicode/norm"
)

// signature is how a function of a template is used.
type signature struct {
	usage  string
	params []form
	result form
}

// signatures are the functions of templates. They are pure: the same arguments always give
// the same text.
var signatures = map[string]signature{
	"class":      {"class .class", []form{isText}, isText},
	"role":       {"role .role", []form{isText}, isText},
	"pinyin":     {"pinyin .name", []form{isText}, isText},
	"pinyinName": {"pinyinName .name", []form{isText}, isText},
	"initials":   {"initials .name", []form{isText}, isText},
	"surname":    {"surname .name", []form{isText}, isText},
	"given":      {"given .name", []form{isText}, isText},
	"first":      {"first 4 .name", []form{isNumber, isText}, isText},
	"last":       {"last 4 .number", []form{isNumber, isText}, isText},
	"lower":      {"lower .name", []form{isText}, isText},
	"upper":      {"upper .name", []form{isText}, isText},
	"half":       {"half .class", []form{isText}, isText},
	"replace":    {`replace "班" "" .class`, []form{isText, isText, isText}, isText},
	"default":    {`default "?" .class`, []form{isText, isText}, isText},
	"wrap":       {`wrap "（" "）" .role`, []form{isText, isText, isText}, isText},
	"contains":   {`contains "班主任" .role`, []form{isText, isText}, isTruth},
}

// logic are the functions of text/template that may be used.
var logic = []string{"and", "or", "not", "eq", "ne"}

func functionNames() []string {
	return slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(signatures)), logic)))
}

func (r *Rule) functions() template.FuncMap {
	return template.FuncMap{
		"class":      func(s string) string { return lookUp(r.classes, s) },
		"role":       func(s string) string { return lookUp(r.roles, s) },
		"pinyin":     func(s string) string { return r.readings.of(s).joined() },
		"pinyinName": func(s string) string { return r.readings.of(s).titled() },
		"initials":   func(s string) string { return r.readings.of(s).initials() },
		"surname":    func(s string) string { family, _ := r.readings.split(s); return family },
		"given":      func(s string) string { _, given := r.readings.split(s); return given },
		"first":      first,
		"last":       last,
		"lower":      strings.ToLower,
		"upper":      strings.ToUpper,
		"half":       norm.NFKC.String,
		"replace":    replace,
		"default": func(instead, s string) string {
			if strings.TrimSpace(s) == "" {
				return instead
			}
			return s
		},
		"wrap": func(before, after, s string) (string, error) {
			if strings.TrimSpace(s) == "" {
				return "", nil
			}
			return short(before + s + after)
		},
		"contains": func(part, s string) bool { return strings.Contains(s, part) },
	}
}

func lookUp(in map[string]string, value string) string {
	if to, known := in[Fold(value)]; known {
		return to
	}
	return value
}

// short refuses a text that functions made too long.
func short(s string) (string, error) {
	if len(s) > maxText {
		return "", errTooLong
	}
	return s, nil
}

// replace bounds the result before it is made.
func replace(old, by, s string) (string, error) {
	if old == "" {
		return s, nil
	}
	if grown := len(s) + strings.Count(s, old)*(len(by)-len(old)); grown > maxText {
		return "", errTooLong
	}
	return strings.ReplaceAll(s, old, by), nil
}
