package kinds

import "slices"

// Previous is the column of the value that a target has now, of kinds with one value. It
// is not part of the task.
const Previous = "previous"

// Column is a value of the rows of a kind, besides those of every kind. Everything that
// reads or describes a row follows from its columns: files, the HTTP API, the command
// enqueue and the pages.
type Column struct {
	Name string
	// Synonyms are other names in files, the usual Chinese one first. A column of several
	// kinds has the same in all.
	Synonyms []string
	// About says in a phrase what the value is: "the new nickname".
	About string
	// Needed is set if a file without the column is not of the kind.
	Needed bool
	ID     bool // the value is one id
	List   bool // the value is a list of ids
	// Choices are all values that it may have. nil: any.
	Choices []string
	// Option is set if it is one of the options in a payload.
	Option bool
	// Flag is the flag of enqueue's subcommand, without its dashes, and Usage its help.
	// Without a flag the value is an argument of the subcommand, which messages call
	// Argument; without both it cannot be given there.
	Flag, Usage string
	Argument    string
}

// Of several kinds. A kind adds what is its own.
var (
	chatID = Column{
		Name: "chat_id", Synonyms: []string{"群ID", "群聊ID", "群会话ID", "会话ID"}, About: "the chat",
		Needed: true, ID: true, Flag: "chat", Usage: "`ID` of the chat, from the server API",
	}
	previous = Column{
		Name:     Previous,
		Synonyms: []string{"原值", "现值", "原昵称", "现昵称", "当前昵称", "原姓名", "现姓名", "原钉钉号", "现钉钉号"},
		About:    "the value now, if you know it",
	}
)

// userID is the column of an employee, whom usage describes.
func userID(usage string) Column {
	return Column{
		Name: "user_id", Synonyms: []string{"用户ID", "员工ID", "成员ID", "员工UserID"}, About: "the employee",
		Needed: true, ID: true, Flag: "user", Usage: usage,
	}
}

// ColumnNames returns the names of the columns. The caller must not change them.
func (k Kind) ColumnNames() []string { return k.names }

// Column returns a column by its name, the zero value for one that the kind does not have.
func (k Kind) Column(name string) Column {
	if i := slices.Index(k.names, name); i >= 0 {
		return k.Columns[i]
	}
	return Column{}
}

// Needs returns the names of the columns without which a file is not of the kind.
func (k Kind) Needs() []string {
	var needs []string
	for _, c := range k.Columns {
		if c.Needed {
			needs = append(needs, c.Name)
		}
	}
	return needs
}

// Fits reports whether a file with some columns can be of the kind: it has those that are
// needed, and of a kind that changes one of several things one of the others.
func (k Kind) Fits(has func(column string) bool) bool {
	changes := !k.ChangesOneOf
	for _, c := range k.Columns {
		switch {
		case c.Needed && !has(c.Name):
			return false
		case !c.Needed && has(c.Name):
			changes = true
		}
	}
	return changes
}
