package template

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/naming"
)

// exampleRecord is an example as --json prints it. Its names are stable.
type exampleRecord struct {
	Example int               `json:"example"` // its number, from 1
	Person  map[string]string `json:"person"`  // the example's columns
	Want    string            `json:"want"`    // the name that the example states
	Got     string            `json:"got"`     // the name that the rule gives; `(left out)` by the filter, or the problem
	OK      bool              `json:"ok"`      // both are equal
}

// examples prints the examples. wrong is how many give another result.
func examples(a *cli.App, tried []naming.Tried, wrong int) error {
	if err := printExamples(a, tried); err != nil {
		return err
	}
	switch {
	case wrong > 0:
		err := fmt.Errorf("%d of %s gives another result: correct the rule or the example; a worker does not start with this rule",
			wrong, console.Count(len(tried), "example"))
		return &exitcode.Error{Code: exitcode.Failed, Err: err}
	case len(tried) == 0 && !a.JSON:
		a.NewPrinter().Text(console.Plain, 0, "the rule can be used; it has no examples: add some under examples, or use --people")
	}
	return nil
}

func printExamples(a *cli.App, tried []naming.Tried) error {
	if a.JSON {
		for i, t := range tried {
			if err := a.PrintJSON(exampleRecord{i + 1, t.Person, t.Want, t.Got, t.OK}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(tried) == 0 {
		return nil
	}
	p := a.NewPrinter()
	t := console.Table{Width: p.Width, Columns: []console.Column{
		{Head: "EXAMPLE", Most: 7, Right: true}, {Head: "PERSON"}, {Head: "WANT"}, {Head: "GOT"}, {Head: "", Most: 5},
	}}
	for i, one := range tried {
		verdict := "ok"
		if !one.OK {
			verdict = "WRONG"
		}
		t.Add(strconv.Itoa(i+1), columns(one.Person), one.Want, one.Got, verdict)
	}
	t.Print(p.Out)
	return nil
}

// columns are the values of a person in one cell, in the order of their columns.
func columns(person map[string]string) string {
	var parts []string
	for _, column := range slices.Sorted(maps.Keys(person)) {
		parts = append(parts, person[column])
	}
	return strings.Join(parts, ", ")
}
