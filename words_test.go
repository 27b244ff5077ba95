package rollcall_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wordsAllowed are the exceptions, by file or by directory: stored names, and names of
// JSON fields, which do not change.
var (
	wordsAllowed = map[string][]string{
		"cmd/rollcall/":                  jsonWords,
		"docs/json.md":                   jsonWords,
		"docs/pacing.md":                 paceWords,
		"internal/pace/":                 paceWords,
		"internal/ledger/compat_test.go": {"wish"},      // a script of schema 1
		"internal/naming/surnames.go":    {"he", "she"}, // syllables of Chinese
		"words_test.go":                  {"*"},
	}
	jsonWords = []string{"lift", "lifted", "wished"}
	paceWords = []string{"told"}
)

// plainWords reads testdata/words.txt: words that are hard to read for people who read
// English as a second language, and what to write instead.
func plainWords(t *testing.T) map[*regexp.Regexp]string {
	t.Helper()
	content, err := os.ReadFile("testdata/words.txt")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[*regexp.Regexp]string{}
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words, advice, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found {
			t.Fatalf("testdata/words.txt: line without advice: %s", line)
		}
		rules[regexp.MustCompile(`(?i)\b(?:`+words+`)\b`)] = advice
	}
	return rules
}

func TestCommentsStringsAndDocumentsUsePlainWords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s with the race detector: make lint")
	}
	t.Parallel()
	rules := plainWords(t)
	for _, path := range tracked(t) {
		texts := textsOf(t, path)
		for _, text := range texts {
			for words, advice := range rules {
				for _, word := range words.FindAllString(text.body, -1) {
					if !allowed(path, word) {
						t.Errorf("%s:%d: %q: write %s", path, text.line, word, advice)
					}
				}
			}
		}
	}
}

// allowed looks for the path itself and for each directory above it.
func allowed(path, word string) bool {
	for where, words := range wordsAllowed {
		above := strings.HasSuffix(where, "/") && strings.HasPrefix(path, where)
		if where != path && !above {
			continue
		}
		if slices.ContainsFunc(words, func(w string) bool { return w == "*" || strings.EqualFold(w, word) }) {
			return true
		}
	}
	return false
}

// text is a comment, a string or a line of a document.
type text struct {
	line int
	body string
}

// textsOf splits a file into texts: the comments and strings of a Go file, the comments
// of a script, all of a document. The decision records and the changelog are left out,
// because they quote old words.
func textsOf(t *testing.T, path string) []text {
	t.Helper()
	if strings.Contains(path, "testdata/") && filepath.Ext(path) != ".txtar" || strings.HasPrefix(path, "docs/adr/") || path == "CHANGELOG.md" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch filepath.Ext(path) {
	case ".go":
		return goTexts(path, content)
	case ".md":
		return lines(string(content), "")
	case ".lua":
		return lines(string(content), "--")
	case ".sh", ".txtar":
		return lines(string(content), "#")
	default:
		return nil
	}
}

func goTexts(path string, content []byte) []text {
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile(path, -1, len(content)), content, nil, scanner.ScanComments)
	var texts []text
	for {
		pos, tok, literal := s.Scan()
		switch tok {
		case token.EOF:
			return texts
		case token.COMMENT, token.STRING:
			for i, line := range strings.Split(literal, "\n") {
				texts = append(texts, text{files.Position(pos).Line + i, line})
			}
		default:
		}
	}
}

// lines returns the lines of a document, each from the mark that begins a comment.
func lines(content, mark string) []text {
	var texts []text
	n := 0
	for line := range strings.Lines(content) {
		n++
		if i := strings.Index(line, mark); i >= 0 {
			texts = append(texts, text{n, line[i:]})
		}
	}
	return texts
}

// tracked lists the source files of the working directory.
func tracked(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == ".git" || path == "bin" || path == "dist") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("list the files: %w", err))
	}
	return files
}
