package plan

import (
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
)

// Language is the language of the columns of a file: "en" or "zh".
type Language string

// Add adds --lang to a command.
func (l *Language) Add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(l), "lang", "en", "`LANGUAGE` of a file: en or zh")
}

// Check refuses a language that is not known.
func (l Language) Check() error {
	if l != "en" && l != "zh" {
		return cli.BadInput("--lang %.20q: must be en or zh", string(l))
	}
	return nil
}

// Of returns the text in the language.
func (l Language) Of(en, zh string) string {
	if l == "zh" {
		return zh
	}
	return en
}
