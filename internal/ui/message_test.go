package ui_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"rollcall/internal/redistest"
)

var (
	usedInTemplate = regexp.MustCompile(`\bt "([a-z0-9_.]+)"`)
	usedInGo       = regexp.MustCompile(`"([a-z_]+(?:\.[a-z0-9_]+)+)"`)
	// prefixes are those of keys that end in a value: a role, a class.
	prefixes = regexp.MustCompile(`(?:print |t\(|named\()"([a-z.]+\.)" ?\+? ?|"([a-z]+\.)" ?\+`)
	verb     = regexp.MustCompile(`%(?:\[\d\])?[a-z%]`)
	between  = regexp.MustCompile(`>([^<>{}]*[A-Za-z\p{Han}][^<>{}]*)<`)
)

func TestEachMessageIsInBothLanguagesAndUsed(t *testing.T) {
	t.Parallel()
	messages := newRig(t, redistest.One(t)).ui.Messages()
	used, begins := map[string]bool{}, map[string]bool{}
	for _, pattern := range []string{"templates/*.html", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "message_") {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range usedInTemplate.FindAllStringSubmatch(string(content), -1) {
				used[m[1]] = true
				if _, known := messages[m[1]]; !known && !strings.HasSuffix(m[1], ".") {
					t.Errorf("%s uses the message %q, which does not exist", file, m[1])
				}
			}
			for _, m := range usedInGo.FindAllStringSubmatch(string(content), -1) {
				used[m[1]] = true
			}
			for _, m := range prefixes.FindAllStringSubmatch(string(content), -1) {
				begins[m[1]+m[2]] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(messages)) {
		en, zh := messages[key][0], messages[key][1]
		switch {
		case en == "" || zh == "":
			t.Errorf("%s has no text in a language", key)
		case !slices.Equal(sorted(verb.FindAllString(en, -1)), sorted(verb.FindAllString(zh, -1))) && !strings.Contains(zh, "%["):
			t.Errorf("%s has other arguments in Chinese: %q, %q", key, en, zh)
		case strings.ContainsFunc(en, func(r rune) bool { return unicode.Is(unicode.Han, r) }):
			t.Errorf("%s is Chinese in English: %q", key, en)
		}
		if used[key] {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(begins)), func(p string) bool { return p != "" && strings.HasPrefix(key, p) }) && !strings.HasSuffix(key, ".todo") {
			t.Errorf("%s is not used", key)
		}
	}
}

func sorted(words []string) []string {
	slices.Sort(words)
	return words
}

// All words of the pages are messages, so that each is in both languages.
func TestTemplatesHaveNoTextOfTheirOwn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	comment, action := regexp.MustCompile(`(?s)\{\{/\*.*?\*/\}\}`), regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := action.ReplaceAllString(comment.ReplaceAllString(string(content), ""), "")
		for _, m := range between.FindAllStringSubmatch(text, -1) {
			if word := strings.TrimSpace(m[1]); !slices.Contains([]string{"rollcall", "· rollcall", "Redis", "中文", "English"}, word) {
				t.Errorf("%s has the text %q of its own", file, word)
			}
		}
	}
}
