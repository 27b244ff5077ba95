package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
)

// TestTheLayoutNamesTheScriptsThatUseAnEntry compares the table in layout.go with the
// scripts: each constant that one uses is in it, and no script spells a name itself.
func TestTheLayoutNamesTheScriptsThatUseAnEntry(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	used := map[string][]string{}
	constant := regexp.MustCompile(`\b[A-Z][A-Z_]+\b`)
	spelt := regexp.MustCompile(`'(rev|own|until|at|rid|tried|[ntrvwdqxsmpilke]:)'`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := spelt.FindString(string(content)); found != "" {
			t.Errorf("%s spells %s itself: use a constant of layout.go", file, found)
		}
		name := strings.TrimSuffix(file, ".lua")
		if name == "note" { // it is given its entries as arguments
			continue
		}
		for _, word := range constant.FindAllString(code(string(content)), -1) {
			if !slices.Contains(used[word], name) {
				used[word] = append(used[word], name)
			}
		}
	}
	for _, e := range ledger.Layout() {
		var named []string
		for _, name := range append(strings.Fields(e.Writes), strings.Fields(e.Reads)...) {
			if name != "note" && !slices.Contains(named, name) {
				named = append(named, name)
			}
		}
		slices.Sort(named)
		if diff := cmp.Diff(used[e.Lua], named); diff != "" {
			t.Errorf("layout.go and the scripts differ on who uses %s (-scripts +table):\n%s", e.Lua, diff)
		}
	}
}

// code is a script without its comments and strings.
func code(script string) string {
	comment := regexp.MustCompile(`--.*`)
	text := regexp.MustCompile(`'[^']*'`)
	return comment.ReplaceAllString(text.ReplaceAllString(script, ""), "")
}

func layoutTable() string {
	var b strings.Builder
	b.WriteString("| entry | in the scripts | holds | written by | read by |\n|---|---|---|---|---|\n")
	for _, e := range ledger.Layout() {
		name := e.Name
		if strings.HasSuffix(name, ":") && !strings.HasPrefix(e.Means, "followed by") {
			name += "<field>"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", name, e.Lua, e.Means, scripts(e.Writes), scripts(e.Reads))
	}
	return b.String()
}

func scripts(names string) string {
	if names == "" {
		return "–"
	}
	return "`" + strings.Join(strings.Fields(names), "`, `") + "`"
}
