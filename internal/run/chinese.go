package run

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// translation is a text with arguments as it is found, and its Chinese.
type translation struct {
	is *regexp.Regexp
	zh string
}

var (
	reasonFormats = sync.OnceValue(func() []translation { return translations(chinese) })
	phraseFormats = sync.OnceValue(func() []translation { return translations(chinesePhrases) })
)

// translations returns formats as they are found. No text matches two.
func translations(formats map[string]string) []translation {
	groups := strings.NewReplacer("%d", `(\d+)`, "%s", `(.*?)`, `%\.0f`, `(\d+)`, "%%", "%")
	var all []translation
	for en, zh := range formats {
		all = append(all, translation{regexp.MustCompile("(?s)^" + groups.Replace(regexp.QuoteMeta(en)) + "$"), zh})
	}
	return all
}

// translated returns a text in Chinese, with its arguments in Chinese; false if it is none of
// some formats.
func translated(text string, formats []translation, argument func(string) string) (string, bool) {
	for _, f := range formats {
		if m := f.is.FindStringSubmatch(text); m != nil {
			args := make([]any, len(m)-1)
			for i := range args {
				args[i] = argument(m[i+1])
			}
			return fmt.Sprintf(f.zh, args...), true
		}
	}
	return "", false
}

// Chinese returns a text of this package in Chinese: a reason, what guards found, or how far a
// run is. What guards found has phrases between semicolons, and the flag of a guard in
// parentheses after one. A text or a part that is none of these stays as it is.
func Chinese(text string) string {
	if zh, ok := chinese[text]; ok {
		return zh
	}
	if zh, ok := translated(text, reasonFormats(), chinesePlace); ok {
		return zh
	}
	asItIs := func(argument string) string { return argument }
	parts, found := strings.Split(text, "; "), false
	for i, part := range parts {
		flag := ""
		if at := strings.LastIndex(part, " (--"); at >= 0 && strings.HasSuffix(part, ")") {
			part, flag = part[:at], "（"+part[at+2:len(part)-1]+"）"
		}
		if zh, ok := translated(part, phraseFormats(), asItIs); ok {
			parts[i], found = zh+flag, true
		}
	}
	if !found {
		return text
	}
	return strings.Join(parts, "；")
}

var places = regexp.MustCompile(`^row (\d+)(?:, line (\d+))?$`)

// chinesePlace is place, or an outcome, in Chinese. Another text stays as it is.
func chinesePlace(text string) string {
	if zh, ok := chineseOutcomes[Outcome(text)]; ok {
		return zh
	}
	m := places.FindStringSubmatch(text)
	switch {
	case m == nil:
		return text
	case m[2] == "":
		return "第 " + m[1] + " 条"
	}
	return "第 " + m[1] + " 条（第 " + m[2] + " 行）"
}
