package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/internal/cli"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// cells are the values of one task by their columns, from the flags and arguments of a
// command. Flags write into them.
type cells struct {
	texts map[string]*string
	lists map[string]*[]string
}

func (c cells) text(column string) string {
	if value := c.texts[column]; value != nil {
		return *value
	}
	return ""
}

func (c cells) list(column string) []string {
	if values := c.lists[column]; values != nil {
		return *values
	}
	return nil
}

// addFlag adds the flag of a column.
func (c cells) addFlag(flags *pflag.FlagSet, column kinds.Column) {
	switch {
	case column.List:
		c.lists[column.Name] = flags.StringSlice(column.Flag, nil, column.Usage)
	case column.Option:
		value := new(string)
		c.texts[column.Name] = value
		flags.Var(option{value, column.Choices}, column.Flag, column.Usage)
	default:
		c.texts[column.Name] = flags.String(column.Flag, "", column.Usage)
	}
}

// arguments takes the arguments of a command: one for each column, and all that are left
// for a list.
func (c cells) arguments(columns []kinds.Column, args []string) {
	for i, column := range columns {
		if column.List {
			rest := args[min(i, len(args)):]
			c.lists[column.Name] = &rest
		} else {
			c.texts[column.Name] = &args[i]
		}
	}
}

// option is the flag of an option of a group.
type option struct {
	value   *string
	choices []string
}

func (o option) String() string {
	if o.value == nil { // the zero value, which pflag compares with
		return ""
	}
	return *o.value
}

func (o option) Set(text string) error {
	if !slices.Contains(o.choices, text) {
		return fmt.Errorf("must be %s", strings.Join(o.choices, " or "))
	}
	*o.value = text
	return nil
}

func (o option) Type() string { return strings.Join(o.choices, "|") }

// one is the command for one task of a kind. Its flags and arguments are the columns.
func (a *app) one(k kinds.Kind) *cobra.Command {
	c := cells{texts: map[string]*string{}, lists: map[string]*[]string{}}
	cmd := &cobra.Command{
		Use:   string(k.Name) + " --tenant T " + k.Command.Arguments,
		Short: k.Command.Short, Long: k.Command.Long, Example: k.Command.Example,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	c.texts["tenant"] = flags.String("tenant", "", "`NAME` of the tenant in the configuration")
	named := map[string]string{"tenant": "--tenant"} // how messages call a column
	var arguments []kinds.Column
	for _, column := range k.Columns {
		switch {
		case column.Flag != "":
			c.addFlag(flags, column)
			named[column.Name] = "--" + column.Flag
		case column.Argument != "":
			arguments = append(arguments, column)
			named[column.Name] = column.Argument
		}
	}
	cmd.Args = argumentsOf(k, arguments)
	flags.StringVar(&a.key, "key", "", "your own `NAME` for the task; a task with the\nsame key is stored once within 24 h")
	flags.StringVar(&a.source, "source", "", "`NAME` of the source of the change; of one\nsource the highest --number wins")
	flags.Int64Var(&a.number, "number", 0, "change time or counter of the source, `N`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.arguments(arguments, args)
		return a.runOne(cmd, k.Row(c.text, c.list), named)
	}
	return cmd
}

// argumentsOf checks the number of arguments of a kind's command.
func argumentsOf(k kinds.Kind, columns []kinds.Column) cobra.PositionalArgs {
	if len(columns) == 0 {
		return cobra.NoArgs
	}
	words := strings.Fields(k.Command.Arguments)
	name := words[len(words)-len(columns)]
	if !columns[len(columns)-1].List {
		return cli.Exactly(name)
	}
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("missing argument: %s, %s", name, columns[0].About)
		}
		return nil
	}
}

// runOne stores a task, and reports the result. named maps a column to its flag or argument.
func (a *app) runOne(cmd *cobra.Command, task tasks.Task, named map[string]string) error {
	var empty []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if value := f.Value.String(); value == "" || value == "[]" {
			empty = append(empty, "--"+f.Name)
		}
	})
	if len(empty) > 0 {
		return cli.BadInput("%s: empty value: set a value, or leave the flag out", strings.Join(empty, ", "))
	}
	if cmd.Flags().Changed("source") != cmd.Flags().Changed("number") {
		return cli.BadInput("--source and --number go together: set both or neither")
	}
	options, err := a.options()
	if err != nil {
		return err
	}
	result, err := a.enqueueOne(cmd.Context(), tasks.Request{Task: task, Options: options})
	if err != nil {
		return err
	}
	r := &report{app: a, rows: true, counts: map[string]int{}}
	r.add(entry{task: task, key: a.key, result: result, position: func(p tasks.Problem) string { return flagName(p.Field, named) }})
	switch code := r.exitCode(); code {
	case exitcode.OK:
		return nil
	case exitRefused:
		return &exitcode.Error{Code: exitcode.Usage} // it is the only task
	default:
		return &exitcode.Error{Code: code}
	}
}

// flagName turns add_user_ids[1] into "--add, entry 2".
func flagName(field string, named map[string]string) string {
	name, index, listed := strings.Cut(field, "[")
	flag, known := named[name]
	switch {
	case name == "source" || name == "number":
		return "--" + name
	case !known:
		return field
	}
	var i int
	if listed {
		if _, err := fmt.Sscanf(index, "%d]", &i); err == nil {
			return fmt.Sprintf("%s, entry %d", flag, i+1)
		}
	}
	return flag
}
