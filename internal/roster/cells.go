package roster

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// Cells returns the cells of a row, by column, from which the row is read again: it is the
// inverse of reading one. Of a request without a task only the options are left.
func Cells(r tasks.Request, previous string) map[string]string {
	cells := map[string]string{kinds.Previous: previous}
	if r.Task != nil {
		_, kind := r.Task.Lane()
		cells["kind"] = string(kind)
		// The fields of a payload have the names of the columns.
		var fields map[string]any
		if text, err := json.Marshal(r.Task); err == nil && json.Unmarshal(text, &fields) == nil {
			addFields(cells, fields)
		}
	}
	addOptions(cells, r.Options)
	maps.DeleteFunc(cells, func(_, cell string) bool { return cell == "" })
	return cells
}

func addFields(cells map[string]string, fields map[string]any) {
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			cells[name] = v
		case float64:
			cells[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case []any:
			var entries []string
			for _, entry := range v {
				if text, ok := entry.(string); ok {
					entries = append(entries, text)
				}
			}
			cells[name] = strings.Join(entries, ";")
		case map[string]any: // the options of a group
			addFields(cells, v)
		}
	}
}

func addOptions(cells map[string]string, o tasks.Options) {
	cells["key"], cells["source"] = o.Key, o.Source
	if o.Urgent {
		cells["urgent"] = "1"
	}
	if !o.At.IsZero() {
		cells["at"] = o.At.Format(time.RFC3339)
	}
	if o.Source != "" {
		cells["number"] = strconv.FormatInt(o.Number, 10)
	}
}

// Order sorts columns as files usually have them.
func Order(columns []string) []string {
	all := allColumns()
	return slices.SortedFunc(slices.Values(columns), func(a, b string) int {
		return slices.Index(all, a) - slices.Index(all, b)
	})
}
