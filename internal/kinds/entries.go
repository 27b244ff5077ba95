package kinds

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/tasks"
)

// Entry is a field of a task that [Correct] can replace.
type Entry struct {
	Column string // of files
	Name   string // in the payload, as Correct takes it
	Value  string // likewise; "": the task does not set it
	List   bool   // Value has several ids, with commas between them
}

// Entries returns the fields of a task that [Correct] can replace, in the order of the columns
// of its kind, without the tenant.
func Entries(task tasks.Task) []Entry {
	k, ok := Of(task)
	if !ok {
		return nil
	}
	fields := map[string]any{}
	if text, err := json.Marshal(task); err != nil || json.Unmarshal(text, &fields) != nil {
		return nil // invalid UTF-8, which no payload holds
	}
	options, _ := fields["options"].(map[string]any)
	var all []Entry
	for _, column := range k.Columns {
		e := Entry{Column: column.Name, Name: column.Name, List: column.List}
		switch {
		case column.Name == Previous:
			continue
		case column.Option:
			e.Name, e.Value = "options."+column.Name, valueOf(options[column.Name])
		default:
			e.Value = valueOf(fields[column.Name])
		}
		all = append(all, e)
	}
	return all
}

// valueOf is a value of JSON as Correct takes it.
func valueOf(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}
