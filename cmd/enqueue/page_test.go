package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rollcall/internal/commandtest"
	"rollcall/internal/exitcode"
)

var kit = commandtest.New("enqueue", main)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }

func TestEveryCommandOfThePageRuns(t *testing.T) {
	t.Parallel()
	_, printed := kit.Page(t, "../../docs/enqueue.md", map[string]string{"roster.csv": file(t, "../../docs/enqueue.md")})
	if strings.Contains(printed, "张三") {
		t.Errorf("a nickname is printed:\n%s", printed)
	}
}

// file returns the CSV file of a page.
func file(t *testing.T, path string) string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := commandtest.Blocks(string(page), "csv")
	if len(files) != 1 {
		t.Fatalf("%s has %d CSV files, want one", path, len(files))
	}
	return files[0]
}

// The output on the page of files is the output of its commands.
func TestThePageOfFilesShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	page, printed := kit.Page(t, "../../docs/files.md", map[string]string{
		"names.csv":   file(t, "../../docs/files.md"),
		"damaged.csv": "学号,昵称\n2023001,张三\n1.80E+17,李四\n",
	}, "enqueue bulk --tenant lakeside-dt --chat chat1 --map 学号=user_id damaged.csv && exit 1 || true\n")
	for _, block := range commandtest.Blocks(page, "text") {
		for line := range strings.Lines(block) {
			if !strings.Contains(printed, line) {
				t.Errorf("docs/files.md shows %q, which no command prints:\n%s", line, printed)
			}
		}
	}
}

func TestThePageNamesEveryOutcome(t *testing.T) {
	t.Parallel()
	commandtest.NamesWords(t, "../../docs/json.md", "stored", "already_there", "outdated", "refused", "not_stored", "not_known", "valid")
}

func TestThePageOfExitCodesNamesEveryCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{
		exitcode.OK, exitcode.Failed, exitRefused, exitNotStored, exitNotKnown, exitcode.Usage, exitcode.Config,
	} {
		if !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/exit-codes.md does not name %d", code)
		}
	}
	if strings.Contains(string(page), "\n| 2 | ") && !strings.Contains(string(page), "\n| 2 | Go panic") {
		t.Error("docs/exit-codes.md gives 2 another meaning than a Go panic")
	}
}
