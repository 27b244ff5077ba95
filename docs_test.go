package rollcall_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is one Markdown file, taken apart as far as the tests need it.
type page struct {
	path     string
	prose    []string        // lines outside fenced blocks
	inBlock  []string        // lines inside
	snippets []string        // code spans and the lines inside fenced blocks
	anchors  map[string]bool // of its headings, as GitHub names them
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	mdLink   = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)`)
	makeWord = regexp.MustCompile(`(?:^|&&|;|\|)\s*make((?:\s+[^\s#&;|]+)+)`)
	goalWord = regexp.MustCompile(`^[a-z][a-z-]*$`)
	longFlag = regexp.MustCompile(`--[a-z][a-z-]+`)
)

func readPage(t *testing.T, path string) page {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path, anchors: map[string]bool{}}
	inBlock := false
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inBlock = !inBlock
		case inBlock:
			p.inBlock = append(p.inBlock, line)
			p.snippets = append(p.snippets, line)
		default:
			p.prose = append(p.prose, line)
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				p.snippets = append(p.snippets, m[1])
			}
			if strings.HasPrefix(line, "#") {
				p.anchors[anchor(strings.TrimSpace(strings.TrimLeft(line, "#")))] = true
			}
		}
	}
	return p
}

// anchor is the name that GitHub gives a heading.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteRune('-')
		}
	}
	return b.String()
}

func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "bin" || file == "dist"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(file, ".md"):
			all = append(all, readPage(t, file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages found: are the tests run at the root?", len(all))
	}
	return all
}

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, line := range p.prose {
			for _, m := range mdLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
					checkLink(t, p, m[1])
				}
			}
		}
	}
}

func checkLink(t *testing.T, from page, link string) {
	t.Helper()
	file, section, _ := strings.Cut(link, "#")
	target := from.path
	if file != "" {
		target = filepath.Join(filepath.Dir(from.path), file)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s, which does not exist", from.path, link)
		return
	}
	if section != "" && strings.HasSuffix(target, ".md") && !readPage(t, target).anchors[section] {
		t.Errorf("%s links to %s, but that page has no such heading", from.path, link)
	}
}

func TestEveryMakeTargetInTheDocsExists(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, p := range pages(t) {
		for _, snippet := range p.snippets {
			for _, m := range makeWord.FindAllStringSubmatch(snippet, -1) {
				for goal := range strings.FieldsSeq(m[1]) {
					if !goalWord.MatchString(goal) {
						continue // FUZZTIME=1m
					}
					named++
					if !strings.Contains(string(makefile), "\n"+goal+":") {
						t.Errorf("%s says make %s, which the Makefile does not have", p.path, goal)
					}
				}
			}
		}
	}
	if named == 0 {
		t.Error("no page names a make target: the search is broken")
	}
}

// An ADR is found by its number, and says what an ADR says.
func TestRecordsAreNumberedAndComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("docs/adr/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no records: %v", err)
	}
	for i, file := range files {
		number := fmt.Sprintf("%04d", i+1)
		if !strings.HasPrefix(filepath.Base(file), number+"-") {
			t.Errorf("%s: the record that comes here in order is number %s", file, number)
		}
		p := readPage(t, file)
		if !strings.HasPrefix(p.prose[0], "# "+number+". ") {
			t.Errorf("%s begins with %q, not with its number", file, p.prose[0])
		}
		for _, part := range []string{"context", "decision", "consequences"} {
			if !p.anchors[part] {
				t.Errorf("%s has no section %s", file, part)
			}
		}
		if !slices.ContainsFunc(p.prose, func(line string) bool { return strings.HasPrefix(line, "**Status:** ") }) {
			t.Errorf("%s does not say its status", file)
		}
	}
}

const reference = "docs/commands/"

// referenceOf returns the path and the content of the page of the command that
// words call. The tests of the commands keep these pages as the help texts are.
func referenceOf(t *testing.T, words []string) (string, string) {
	t.Helper()
	path := reference + words[0]
	for _, word := range words[1:] {
		if _, err := os.Stat(path + "_" + word + ".md"); err != nil {
			break
		}
		path += "_" + word
	}
	content, err := os.ReadFile(path + ".md")
	if err != nil {
		t.Error(err)
	}
	return path, string(content)
}

func TestEveryCommandLineInTheDocsIsValid(t *testing.T) {
	t.Parallel()
	found := 0
	for _, p := range pages(t) {
		for _, snippet := range p.snippets {
			rest, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(snippet), "$ "), "bin/")
			if !ok {
				continue
			}
			words := strings.Fields(rest)
			if len(words) == 0 || words[0] != "worker" && words[0] != "enqueue" && words[0] != "rollcall" {
				t.Errorf("%s: %s is no command that make build builds", p.path, snippet)
				continue
			}
			if strings.ContainsRune(rest, '…') {
				continue // shortened for the page
			}
			found++
			path, help := referenceOf(t, words)
			if len(words) > 1 && !strings.HasPrefix(words[1], "-") && words[1] != "completion" && path == reference+words[0] {
				t.Errorf("%s: %s has no command %s", p.path, words[0], words[1])
			}
			for _, flag := range longFlag.FindAllString(rest, -1) {
				if !strings.Contains(help, flag) {
					t.Errorf("%s: %q: %s does not take %s", p.path, snippet, words[0], flag)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no page shows a command line: the search is broken")
	}
}
