package kinds

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/tasks"
)

// Parse reads a task of a kind from a JSON object that holds its fields and
// nothing else: a payload without its version and revision. It does not
// validate their values.
func Parse(name tasks.Kind, fields []byte) (tasks.Task, error) {
	kind, _ := Named(name)
	payload, err := withMeta(fields, kind.newest)
	if err != nil {
		return nil, payloadError(kind.Type, kind.newest, err)
	}
	task, _, err := Decode(kind.Type, payload)
	return task, err
}

// withMeta puts a version and a revision before the fields of a task. Fields
// that repeat them are refused when it is decoded.
func withMeta(fields []byte, version int) ([]byte, error) {
	value := jsontext.Value(fields)
	if err := value.Compact(); err != nil {
		return nil, err
	}
	if value.Kind() != jsontext.KindBeginObject {
		return nil, errNotAnObject
	}
	head := fmt.Sprintf(`{"v":%d,"rev":1`, version)
	if len(value) > len("{}") {
		head += ","
	}
	return append([]byte(head), value[1:]...), nil
}

// Correct returns the task in a payload with some of its fields replaced, by
// their names in the payload. The parts of a list are separated by commas; an
// option of a group is "options.searchable". An empty value leaves a field out.
// The result is not validated.
func Correct(typename string, payload []byte, set map[string]string) (tasks.Task, error) {
	task, _, err := Decode(typename, payload)
	if err != nil {
		return nil, err
	}
	kind, _ := Of(task)
	text, err := json.Marshal(task)
	if err != nil {
		return nil, payloadError(typename, kind.newest, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, payloadError(typename, kind.newest, err)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		kind.correct(fields, name, set[name])
	}
	text, err = json.Marshal(fields)
	if err != nil {
		return nil, payloadError(typename, kind.newest, err)
	}
	return Parse(kind.Name, text)
}

func (k Kind) correct(fields map[string]any, name, value string) {
	if option, ok := strings.CutPrefix(name, "options."); ok {
		options, _ := fields["options"].(map[string]any)
		if options == nil {
			options = map[string]any{}
			fields["options"] = options
		}
		n, err := strconv.Atoi(value)
		switch {
		case value == "":
			delete(options, option)
		case err != nil:
			options[option] = value // refused when it is read
		default:
			options[option] = n
		}
		return
	}
	switch {
	case value == "":
		delete(fields, name)
	case k.Column(name).List:
		fields[name] = strings.Split(value, ",")
	default:
		fields[name] = value
	}
}
