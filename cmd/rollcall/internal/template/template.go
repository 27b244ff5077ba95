// Package template is rollcall template: it shows what a rule for names makes of its examples
// and of the people in a file.
//
// It must not know Redis or a platform: nothing is planned or sent.
package template

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"rollcall/internal/cli"
	"rollcall/internal/naming"
	"rollcall/internal/readfile"
	"rollcall/internal/sheet"
)

type flags struct {
	rule     string
	config   string
	schedule string
	people   string
	old      string
	out      string
	n        int
}

// Command tests the rules for names.
func Command(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:   "template",
		Short: "Test the rules by which a roster's people are named",
		Long: `Test the rules by which the people of a nightly roster are named: filters,
templates, chats and IDs. docs/naming.md explains them.`,
		Example: `  rollcall template test --rule names.yaml --people people.csv`,
	}
	cli.HelpWhenBare(root)
	root.AddCommand(testCommand(a))
	return root
}

func testCommand(a *cli.App) *cobra.Command {
	f := flags{n: 20}
	cmd := &cobra.Command{
		Use:   "test {--rule FILE | --config FILE [--schedule NAME]}",
		Short: "Show what a rule makes of its examples and of a file",
		Long: `Compile a rule, check its examples, and show the name of each person in a file.
Nothing is planned or sent, and Redis is not needed. Names are shown in full.

The rule is the key names of a schedule in a worker's configuration, or a YAML
file with the content of that key.

With --people the names of a CSV, XLSX or NDJSON file are shown, old and new.
Old names are those in the column --old. As every night, of people with equal
names the one who has a name keeps it.

Exit codes:
  0   done; rows without a name are shown with their problem
  1   an example gives another result
  64  wrong usage, a rule that cannot be used, or a file without its columns`,
		Example: `  rollcall template test --rule names.yaml
  rollcall template test --config worker.yaml --schedule night --people new.csv
  rollcall template test --rule names.yaml --people people.xlsx -o names.xlsx`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return f.test(a) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.rule, "rule", "", "YAML `FILE` with a rule")
	cmd.Flags().StringVar(&f.config, "config", "", "`FILE` with a worker's configuration")
	cmd.Flags().StringVar(&f.schedule, "schedule", "", "`NAME` of the schedule in it\n(default: the only one with names)")
	cmd.Flags().StringVar(&f.people, "people", "", "`FILE` with people: CSV, XLSX or NDJSON")
	cmd.Flags().StringVar(&f.old, "old", "", "`COLUMN` with the names that people have\n(default: nickname, student_name, dingtalk_id\nor previous)")
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "write all names to a `FILE`: .xlsx, .csv or .ndjson")
	cli.Limit(cmd, &f.n, 1, "number of people to show, `N`")
	return cmd
}

func (f flags) test(a *cli.App) error {
	spec, err := f.spec()
	if err != nil {
		return err
	}
	if f.people == "" && (f.old != "" || f.out != "") {
		return cli.BadInput("--old and --output need --people")
	}
	if f.out != "" {
		if _, err := sheet.FormatOf(f.out); err != nil {
			return cli.BadInput("-o %w", err)
		}
	}
	tried, err := naming.Try(spec)
	if err != nil {
		return cli.BadInput("%s: %w", f.source(), err)
	}
	wrong := 0
	for _, t := range tried {
		if !t.OK {
			wrong++
		}
	}
	if wrong > 0 || f.people == "" {
		return examples(a, tried, wrong)
	}
	rule, err := naming.Compile(spec)
	if err != nil {
		return cli.BadInput("%s: %w", f.source(), err)
	}
	return f.names(a, rule)
}

// source is what messages call the rule.
func (f flags) source() string {
	switch {
	case f.rule != "":
		return f.rule
	case f.schedule != "":
		return f.config + ", schedule " + f.schedule
	}
	return f.config
}

const fileMax = 4 << 20 // bytes of a rule or a configuration

// spec reads the rule.
func (f flags) spec() (naming.Spec, error) {
	switch {
	case (f.rule == "") == (f.config == ""):
		return naming.Spec{}, cli.BadInput("one of --rule and --config is needed")
	case f.rule != "" && f.schedule != "":
		return naming.Spec{}, cli.BadInput("--schedule belongs to --config: remove it")
	}
	path := f.rule + f.config
	content, err := readfile.Whole(path, fileMax)
	if fault, ok := errors.AsType[*os.PathError](err); ok {
		err = fault.Err // the path is in the message already
	}
	if err != nil {
		return naming.Spec{}, cli.BadInput("%s: %w", path, err)
	}
	spec, err := f.parse(content)
	if err != nil {
		return spec, cli.BadInput("%s: %w", f.source(), err)
	}
	return spec, nil
}

func (f flags) parse(content []byte) (naming.Spec, error) {
	if f.rule != "" {
		return naming.Parse(content)
	}
	// Only the names are read: the other keys may need secrets that are not here.
	var file struct {
		Schedules []struct {
			Name  string    `yaml:"name"`
			Names yaml.Node `yaml:"names"`
		} `yaml:"schedules"`
	}
	if err := yaml.Load(content, &file); err != nil {
		return naming.Spec{}, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	var found []yaml.Node
	for _, s := range file.Schedules {
		if !s.Names.IsZero() && (f.schedule == "" || s.Name == f.schedule) {
			found = append(found, s.Names)
		}
	}
	switch {
	case len(found) == 1:
		return naming.Load(&found[0])
	case len(found) > 1:
		return naming.Spec{}, errors.New("several schedules have names: choose one with --schedule")
	}
	return naming.Spec{}, errors.New("no such schedule has the key names")
}
