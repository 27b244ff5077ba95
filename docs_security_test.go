package rollcall_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

func TestTheTestsOfTheAttacksExist(t *testing.T) {
	t.Parallel()
	exist := map[string]bool{}
	for _, path := range tracked(t) {
		if !strings.HasSuffix(path, "_test.go") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(content), -1) {
			exist[m[1]] = true
		}
	}
	attacks, named := 0, 0
	for _, line := range readPage(t, "docs/security.md").prose {
		if strings.HasPrefix(line, "- ") {
			attacks++
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			if !strings.HasPrefix(m[1], "Test") && !strings.HasPrefix(m[1], "Fuzz") {
				continue
			}
			if named++; !exist[m[1]] {
				t.Errorf("docs/security.md names %s, which does not exist", m[1])
			}
		}
	}
	if attacks < 20 || named < attacks {
		t.Errorf("%d attacks name %d tests", attacks, named)
	}
}
