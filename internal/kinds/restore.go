package kinds

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"rollcall/tasks"
)

// Restores reports whether the values of the kind's targets may be sent again without a
// task of a producer. It is false where a repeated call could do harm, or where a person
// decides.
func (k Kind) Restores() bool { return k.restore != nil }

// Restore returns the task that sets values of a target of a tenant once more, by the
// names of the target's fields. It is not validated. Call it only if Restores.
//
// Errors: [*PayloadError].
func (k Kind) Restore(tenant, key string, values map[string]string) (tasks.Task, error) {
	fields := map[string]any{"tenant": tenant}
	set := k.restore(key, values)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k.correct(fields, name, set[name])
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, payloadError(k.Type, k.newest, err)
	}
	return Parse(k.Name, text)
}
