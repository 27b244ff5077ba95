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

// plainer lists words that do not appear in comments, strings and documents, and
// what to write in their place. The readers are people all over the world who read
// English as a second language.
var plainer = map[string]string{
	"anew":                                "again",
	"beside":                              "next to, with, at the same time as",
	"bury|buried|buries|exhume|condemn":   "archive, add a dead letter, restore",
	"crew|errand|ghost|graveyard|passage": "the field's word for it: executor, operation, orphan, dead letters, attempt",
	"dear":                                "expensive",
	"eldest":                              "oldest",
	"for ever":                            "forever, without end",
	"gone|(?:is|was|went) away":           "unavailable, dead, deleted, missing",
	"heed|heeds|heeded":                   "follow, use",
	"lest|hence|whence|whereof|thereof|therein": "so that … not, so, in it",
	"meanwhile":                           "in the meantime, since then",
	"nobody|nobody's":                     "no user, no worker, no one",
	"tell|tells|told|telling":             "report, return, say, notify",
	"whatever|whichever|wherever|whoever": "any, every, the worker that",
	"wish|wishes|wished":                  "change, requested value",
}

// wordsAllowed are the exceptions, by file or by directory: a stored name, an exported
// name that is still to be renamed, or a part that is not reworded yet.
var wordsAllowed = map[string][]string{
	"words_test.go": {"*"},
	// The commands and the pages that are generated from them are still to be reworded.
	"cmd/":                 {"*"},
	"docs/commands/":       {"*"},
	"docs/lost-replies.md": {"Whichever"},
	"docs/rollcall.md":     {"wished"},
	// The exported names of the ledger.
	"CONTRIBUTING.md":  {"Wish"},
	"internal/ledger/": {"wish"},
	// Names of stored fields, and a method.
	"docs/pacing.md":                {"told"},
	"internal/pace/":                {"told"},
	"internal/logging/condition.go": {"gone"},
}

func TestCommentsStringsAndDocumentsUsePlainWords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s with the race detector: make lint")
	}
	t.Parallel()
	type rule struct {
		word *regexp.Regexp
		hint string
	}
	var rules []rule
	for words, hint := range plainer {
		rules = append(rules, rule{regexp.MustCompile(`(?i)\b(?:` + words + `)\b`), hint})
	}
	for _, path := range tracked(t) {
		texts := textsOf(t, path)
		for _, text := range texts {
			for _, r := range rules {
				for _, word := range r.word.FindAllString(text.body, -1) {
					if !allowed(path, word) {
						t.Errorf("%s:%d: %q: write %s", path, text.line, word, r.hint)
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

// textsOf takes a file apart: the comments and strings of a Go file, the comments
// of a script, all of a document. The decision records and the changelog quote
// what they replaced.
func textsOf(t *testing.T, path string) []text {
	t.Helper()
	if strings.Contains(path, "testdata/") || strings.HasPrefix(path, "docs/adr/") || path == "CHANGELOG.md" {
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
	case ".sh":
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

// lines are those of a document, from the mark on that begins a comment.
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

// tracked lists the files of the repository, or of the directory where the source
// came without one.
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
