package roster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// Columns returns the columns of a kind, besides the columns of every kind. It is
// nil for a kind that is not declared.
func Columns(kind tasks.Kind) []string {
	k, _ := kinds.Named(kind)
	return k.ColumnNames()
}

// CommonColumns lists the columns that rows of every kind have.
func CommonColumns() []string {
	return []string{"kind", "tenant", "key", "urgent", "at", "source", "number"}
}

func allColumns() []string {
	names := CommonColumns()
	for _, kind := range kinds.Names() {
		for _, name := range Columns(kind) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Synonyms lists the other names by which a column is known. A student or staff
// number (学号, 工号) is not among them: whether it is the user id of DingTalk, only
// the school knows.
func Synonyms(column string) []string { return synonyms()[column] }

// Example returns the columns of a file of a kind, by their Chinese names if asked, and the
// cells of one row.
func Example(k kinds.Kind, chinese bool) (heads, cells []string) {
	for _, c := range k.Example {
		head := c.Column
		if names := Synonyms(c.Column); chinese && len(names) > 0 {
			head = cmp.Or(c.Zh, names[0])
		}
		heads, cells = append(heads, head), append(cells, c.Value)
	}
	return heads, cells
}

// synonyms is made once: every column of a file asks for it.
var synonyms = sync.OnceValue(func() map[string][]string {
	all := map[string][]string{
		"kind":   {"type", "类型", "任务类型"},
		"tenant": {"租户", "租户名", "租户名称"},
		"key":    {"幂等键", "去重键"},
		"urgent": {"紧急", "加急", "是否加急"},
		"at":     {"执行时间", "生效时间"},
		"source": {"来源", "数据来源"},
	}
	for _, k := range kinds.All() {
		for _, c := range k.Columns {
			all[c.Name] = c.Synonyms
		}
	}
	return all
})

// word returns the value that a word stands for, in a column that has a fixed list
// of them: "nickname" for 昵称. It is empty for a word that is not known.
func word(column, text string) string {
	if text == "" {
		return ""
	}
	return words(column)[fold(text)]
}

func words(column string) map[string]string {
	switch column {
	case "kind":
		return kindWords()
	case "owner_type":
		return map[string]string{"emp": "emp", "员工": "emp", "内部": "emp", "ext": "ext", "外部联系人": "ext", "外部": "ext"}
	}
	return map[string]string{"1": "1", "true": "1", "yes": "1", "是": "1", "0": "0", "false": "0", "no": "0", "否": "0"}
}

// kindWords is made once: every row of a file asks for it.
var kindWords = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, k := range kinds.All() {
		for _, name := range append([]string{string(k.Name)}, k.Words...) {
			all[fold(name)] = string(k.Name)
		}
	}
	return all
})

// fold makes names alike that differ in case, width, spaces, underscores, or in a
// mark that a column is required.
func fold(name string) string {
	name = strings.ToLower(norm.NFKC.String(name))
	for _, mark := range []string{"(必填)", "(选填)", "(required)", "(optional)"} {
		name = strings.TrimSuffix(strings.TrimSpace(name), mark)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("_-*", r) {
			return -1
		}
		return r
	}, name)
}

// known are the columns by all their folded names. It is made once: every task of the HTTP
// API needs it for each of its fields.
var known = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, column := range allColumns() {
		for _, name := range append(Synonyms(column), column) {
			all[fold(name)] = column
		}
	}
	return all
})

// Column returns the column of a name: "user_id" for "用户ID". ok is false for a
// name that is not known.
func Column(name string) (column string, ok bool) {
	column, ok = known()[fold(name)]
	return column, ok
}

// layout is what the columns of a record are.
type layout struct {
	names   []string // as the file has them
	shown   []string // as messages name them
	columns []string // what they are; empty for one that is ignored
	kind    tasks.Kind
	ignored []string
	ignores func(string) bool
	named   int // the number of columns up to the last one with a name
}

func (l *layout) index(column string) int { return slices.Index(l.columns, column) }

// newLayout maps names to columns. mapped holds folded names.
func newLayout(names []string, o Options, mapped map[string]string) (*layout, error) {
	l := &layout{names: names, shown: make([]string, len(names)), columns: make([]string, len(names)), ignores: o.ignores}
	all := known()
	for i, name := range names {
		l.shown[i] = columnName(name, i)
		folded := fold(name)
		if folded == "" {
			continue
		}
		l.named = i + 1
		if l.columns[i] = mapped[folded]; l.columns[i] == "" {
			l.columns[i] = all[folded]
		}
	}
	if err := l.settleTwins(mapped); err != nil {
		return nil, err
	}
	if err := l.findKind(o); err != nil {
		return nil, err
	}
	l.ignoreOthers()
	for i, column := range l.columns[:l.named] {
		if column == "" && !o.ignores(names[i]) {
			l.ignored = append(l.ignored, l.shown[i])
		}
	}
	if o.Strict && len(l.ignored) > 0 {
		return nil, fmt.Errorf("columns that are not known: %s: remove them, map them (--map %s=COLUMN), or leave out --strict",
			strings.Join(l.ignored, ", "), l.ignored[0])
	}
	if l.index("tenant") < 0 && o.Tenant == "" {
		return nil, fmt.Errorf("column tenant is missing%s: add it, or use --tenant", l.hint("tenant"))
	}
	return l, nil
}

func columnName(name string, i int) string {
	if name = strings.TrimSpace(name); name != "" {
		return fmt.Sprintf("%.40s", name)
	}
	return fmt.Sprintf("(column %d, without a name)", i+1)
}

// settleTwins refuses two columns of one meaning, unless --map chose one of them.
func (l *layout) settleTwins(mapped map[string]string) error {
	chosen := map[string]int{}
	for i, name := range l.names {
		column := l.columns[i]
		if column == "" {
			continue
		}
		before, twice := chosen[column]
		if !twice {
			chosen[column] = i
			continue
		}
		first, second := mapped[fold(l.names[before])] == column, mapped[fold(name)] == column
		switch {
		case first && !second:
			l.columns[i] = ""
		case second && !first:
			l.columns[before], chosen[column] = "", i
		default:
			return fmt.Errorf("columns %d (%.40s) and %d (%.40s) are both %s: remove one, or choose one with --map NAME=%s",
				before+1, l.names[before], i+1, name, column, column)
		}
	}
	return nil
}

// findKind decides which kind of task all rows are, where no column says so.
func (l *layout) findKind(o Options) error {
	l.kind = o.Kind
	if l.kind != "" || l.index("kind") >= 0 {
		return nil
	}
	has := func(column string) bool { return l.index(column) >= 0 || column == "chat_id" && o.Chat != "" }
	var found []string
	for _, k := range kinds.All() {
		if k.Fits(has) {
			l.kind, found = k.Name, append(found, string(k.Name))
		}
	}
	switch {
	case len(found) == 1:
		return nil
	case len(found) > 1:
		return fmt.Errorf("column kind is missing, and the columns fit several kinds of task (%s): use --kind", strings.Join(found, ", "))
	case has("user_id") && has("nickname"):
		return fmt.Errorf("column chat_id is missing%s: add it, or use --chat", l.hint("chat_id"))
	}
	return fmt.Errorf("the columns fit no kind of task%s: a file needs %s", l.hint("COLUMN"), needs())
}

// needs lists the columns without which a file is not of a kind.
func needs() string {
	var all []string
	for _, k := range kinds.All() {
		columns := strings.Replace(strings.Join(k.Needs(), ", "), "chat_id", "chat_id or --chat", 1)
		if k.ChangesOneOf {
			columns += ", and what changes"
		}
		all = append(all, fmt.Sprintf("for %s %s", k.Name, columns))
	}
	return strings.Join(all, "; ")
}

// hint lists what was recognised and what was not.
func (l *layout) hint(wanted string) string {
	var recognised, other []string
	for i, name := range l.names {
		switch {
		case fold(name) == "" || l.ignores(name):
		case l.columns[i] == "":
			other = append(other, l.shown[i])
		default:
			recognised = append(recognised, l.columns[i])
		}
	}
	text := ""
	if len(recognised) > 0 {
		text += "known: " + strings.Join(recognised, ", ") + "; "
	} else {
		text += "no column is known: does the first line name the columns? "
	}
	if len(other) > 0 {
		text += fmt.Sprintf("not known: %s: --map %s=%s maps one", strings.Join(other[:min(10, len(other))], ", "), other[0], wanted)
	}
	return " (" + strings.TrimSuffix(strings.TrimSpace(text), ";") + ")"
}

// ignoreOthers drops the columns that belong to other kinds, where all rows are of
// one kind.
func (l *layout) ignoreOthers() {
	if l.kind == "" {
		return
	}
	for i, column := range l.columns {
		if !slices.Contains(CommonColumns(), column) && !slices.Contains(Columns(l.kind), column) {
			l.columns[i] = ""
		}
	}
}
