package naming_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/naming"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```")
	fenced    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan  = regexp.MustCompile("`([^`]+)`")
)

func page(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Their examples are checked too.
func TestTheRulesOfThePagesAreRight(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"naming.md", "naming.zh-CN.md"} {
		blocks := yamlBlock.FindAllStringSubmatch(page(t, name), -1)
		if len(blocks) < 2 {
			t.Errorf("%s has %d rules: is the search broken?", name, len(blocks))
		}
		for _, block := range blocks {
			spec, err := naming.Parse([]byte(block[1]))
			if err == nil {
				_, err = naming.Compile(spec)
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, block[1])
			}
		}
	}
}

func TestThePageExplainsEveryFunction(t *testing.T) {
	t.Parallel()
	_, err := naming.Compile(naming.Spec{Template: "{{nothing}}", Chats: naming.Chats{Column: "chat_id"}})
	if err == nil {
		t.Fatal("a function that does not exist is accepted")
	}
	_, list, _ := strings.Cut(err.Error(), "functions are ")
	explained := map[string]bool{}
	for _, m := range codeSpan.FindAllStringSubmatch(fenced.ReplaceAllString(page(t, "naming.md"), ""), -1) {
		explained[m[1]] = true
	}
	for function := range strings.SplitSeq(list, ", ") {
		if !explained[function] {
			t.Errorf("docs/naming.md does not explain the function %q", function)
		}
	}
}
