package run

import (
	"regexp"
	"strings"
	"unicode"

	"rollcall/tasks"
)

var (
	numeric = regexp.MustCompile(`^[+-]?[\d.,/:\s-]+([eE][+-]?\d+)?$`)
	marks   = regexp.MustCompile(`[?？]{2,}|#(N/A|REF!|NAME\?|VALUE!|DIV/0!)|锟斤拷|\x{FFFD}|^=|&#?\w+;`)
)

// lostChinese reports whether a name had Chinese characters and has none any more.
func lostChinese(v Value) bool {
	return v.Known && named(v.Field) && han(v.Old) && !han(v.New)
}

// suspicious returns why a person should look at a new value, or "". Values that cannot
// be right at all were refused when the file was read.
func suspicious(v Value) string {
	if !named(v.Field) || v.New == "" || v.Known && v.Old == v.New {
		return ""
	}
	switch {
	case marks.MatchString(v.New):
		return whyLooksDamaged
	case numeric.MatchString(v.New) && (!v.Known || !numeric.MatchString(v.Old)):
		return whyNumber
	case strings.ContainsFunc(v.New, invisible):
		return whyInvisible
	case lostChinese(v):
		return whyLostChinese
	}
	return ""
}

// named reports whether a field of a target is a name.
func named(field string) bool { return field == "nickname" || field == "name" }

func han(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// invisible reports formatting characters and private ones; joiners belong to emoji.
func invisible(r rune) bool {
	return r != '\u200d' && (unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.IsControl(r))
}

// member returns the chat of a row that names a member of it, and the name.
func member(task tasks.Task) (chat, name string, ok bool) {
	n, ok := task.(tasks.NicknameSync)
	return n.Tenant + "/" + n.ChatID, n.Nickname, ok
}

// removes reports whether a row removes members.
func removes(task tasks.Task) bool {
	g, ok := task.(tasks.GroupUpdate)
	return ok && len(g.DelUserIDs)+len(g.DelExtIDs) > 0
}
