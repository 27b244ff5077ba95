package ui

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"

	textlanguage "golang.org/x/text/language"
)

// message is a text in both languages, with the verbs of fmt. The order of the arguments is
// that of the English text: the Chinese one may use [1]. {row is|rows are} is the first for one, the
// second for all other numbers, and follows the last argument before it; {1:has|have} follows the
// first argument.
type message struct{ EN, ZH string }

// language is that of a page: the value of the attribute lang.
type language string

const (
	english language = "en"
	chinese language = "zh-CN"
)

// allMessages returns every message by its key.
func allMessages() map[string]message {
	all := map[string]message{}
	for _, some := range []map[string]message{
		coreMessages(), nowMessages(), runsListMessages(), runMessages(), runWordMessages(), newRunMessages(), didMessages(),
		moreMessages(), deadMessages(), searchMessages(), targetMessages(), scheduleMessages(), auditMessages(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// text returns a message. An unknown key is shown as it is: a test finds it.
func (u *UI) text(lang language, key string, args ...any) string {
	m, known := u.messages[key]
	if !known {
		return key
	}
	format := m.EN
	if lang == chinese {
		format = m.ZH
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(inNumber(format, args), args...)
}

var (
	forms = regexp.MustCompile(`\{(?:(\d):)?([^{}|]*)\|([^{}|]*)\}`)
	verbs = regexp.MustCompile(`%(?:\[\d\])?[a-z]`)
)

// inNumber chooses between one and many.
func inNumber(format string, args []any) string {
	var b strings.Builder
	end := 0
	for _, at := range forms.FindAllStringSubmatchIndex(format, -1) {
		b.WriteString(format[end:at[0]])
		end = at[1]
		which := len(verbs.FindAllString(format[:at[0]], -1))
		if at[2] >= 0 {
			which = int(format[at[2]] - '0')
		}
		if one := which >= 1 && which <= len(args) && fmt.Sprint(args[which-1]) == "1"; one {
			b.WriteString(format[at[4]:at[5]])
		} else {
			b.WriteString(format[at[6]:at[7]])
		}
	}
	b.WriteString(format[end:])
	return b.String()
}

var matcher = textlanguage.NewMatcher([]textlanguage.Tag{textlanguage.English, textlanguage.Chinese})

// languageOf returns the language that a user chose, or that the browser prefers.
func languageOf(r *http.Request) language {
	if c, err := r.Cookie(langCookie); err == nil {
		if lang := language(c.Value); lang == english || lang == chinese {
			return lang
		}
	}
	wanted, _, err := textlanguage.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(wanted) == 0 {
		return english
	}
	if _, i, _ := matcher.Match(wanted...); i == 1 {
		return chinese
	}
	return english
}
