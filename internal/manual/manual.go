// Package manual compares documentation with the code: the help of a command fits a
// terminal, its examples are valid, its pages, Markdown and man, say the same, and
// tables that are generated into a page are those of the code.
//
// For tests alone: the generator must not be linked into the commands. It must
// not know any of them.
package manual

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// columns is how wide a terminal is.
const columns = 80

// walk calls f for a command and all below it that a user may call.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			walk(c, f)
		}
	}
}

// Command tests the help, the pages and the completions of a command. update writes the
// pages, docs/commands and deploy/man of the module, instead.
func Command(t *testing.T, build func() *cobra.Command, update bool) {
	t.Helper()
	t.Run("help", func(t *testing.T) {
		t.Parallel()
		helps(t, build)
	})
	t.Run("pages", func(t *testing.T) {
		t.Parallel()
		pages(t, build(), "../../docs/commands", "../../deploy/man", update)
	})
	t.Run("completions", func(t *testing.T) {
		t.Parallel()
		completions(t, build)
	})
}

// helps fails the test where a help text is wider than a terminal, or says
// nothing by example, or its example is not what the command takes.
func helps(t *testing.T, build func() *cobra.Command) {
	t.Helper()
	walk(build(), func(cmd *cobra.Command) {
		var text bytes.Buffer
		cmd.SetOut(&text)
		if err := cmd.Help(); err != nil {
			t.Errorf("%s --help: %v", cmd.CommandPath(), err)
		}
		for line := range strings.Lines(text.String()) {
			line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "        ")
			if n := len([]rune(line)); n > columns {
				t.Errorf("%s --help: %d characters: %s", cmd.CommandPath(), n, line)
			}
		}
		examples := calls(build().Name(), cmd.Example)
		if cmd.Runnable() && cmd.HasParent() && len(examples) == 0 {
			t.Errorf("%s --help gives no example", cmd.CommandPath())
		}
		for _, example := range examples {
			if err := accepts(build(), example); err != nil {
				t.Errorf("%s --help: example %q: %v", cmd.CommandPath(), example, err)
			}
		}
	})
}

// calls are the calls of the program among the lines of an example, each
// without what it is piped to or from.
func calls(program, example string) [][]string {
	var found [][]string
	for line := range strings.Lines(strings.ReplaceAll(example, "\\\n", " ")) {
		for part := range strings.SplitSeq(line, " | ") {
			words := quoted.FindAllString(part, -1)
			if len(words) > 0 && words[0] == program {
				found = append(found, words[1:])
			}
		}
	}
	return found
}

// quoted is a word of a shell, as far as examples need it.
var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// accepts reports whether a command takes the flags and arguments, without
// carrying anything out.
func accepts(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// completions fails the test unless the command prints a script for each shell
// that the shell itself can read. A shell that is not installed is not asked.
func completions(t *testing.T, build func() *cobra.Command) {
	t.Helper()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		root := build()
		var script bytes.Buffer
		root.SetOut(&script)
		root.SetArgs([]string{"completion", shell})
		if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(script.String(), "__complete") {
			t.Errorf("completion %s: %d bytes, %v", shell, script.Len(), err)
			continue
		}
		if path, err := exec.LookPath(shell); err == nil {
			check := exec.CommandContext(t.Context(), path, "-n") //nolint:gosec // a shell of ours
			check.Stdin = &script
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s does not read its script: %v: %s", shell, err, out)
			}
		}
	}
}

// pages compares the pages of a command and all below it with those in the
// directories for Markdown and for man; update writes them instead.
func pages(t *testing.T, root *cobra.Command, markdown, man string, update bool) {
	t.Helper()
	pages := map[string][]byte{}
	walk(root, func(cmd *cobra.Command) {
		cmd.DisableAutoGenTag = true
		cmd.Long = blocks(cmd.Long)
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "_")
		var md, roff bytes.Buffer
		if err := doc.GenMarkdown(cmd, &md); err != nil {
			t.Fatal(err)
		}
		// A date would change the page without a change; it is left out below.
		header := &doc.GenManHeader{Source: "rollcall", Manual: "rollcall", Date: new(time.Unix(0, 0))}
		if err := doc.GenMan(cmd, header, &roff); err != nil {
			t.Fatal(err)
		}
		pages[filepath.Join(markdown, name+".md")] = tidy(md.Bytes())
		pages[filepath.Join(man, strings.ReplaceAll(name, "_", "-")+".1")] = bytes.Replace(roff.Bytes(), []byte(`"Jan 1970"`), []byte(`""`), 1)
	})
	for _, pattern := range []string{filepath.Join(markdown, root.Name()+"*.md"), filepath.Join(man, root.Name()+"*.1")} {
		there, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range there {
			if _, wanted := pages[path]; !wanted {
				t.Errorf("%s is the page of no command: remove it", path)
			}
		}
	}
	for path, want := range pages {
		Page(t, path, string(want), update)
	}
}

// blocks indents what stands in columns, so that Markdown and roff keep it as
// it stands. Such lines begin with two spaces.
func blocks(text string) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		table := strings.HasPrefix(line, "  ")
		if table != inside && line != "\n" {
			out.WriteString("\n")
		}
		if table {
			out.WriteString("    ")
		}
		inside = table
		out.WriteString(line)
	}
	return out.String()
}

var blankLines = regexp.MustCompile(`\n{3,}`)

// tidy leaves one blank line where there are more, and none at the end.
func tidy(page []byte) []byte {
	page = blankLines.ReplaceAll(page, []byte("\n\n"))
	return append(bytes.TrimSpace(page), '\n')
}
