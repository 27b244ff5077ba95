package apicall

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Object is a JSON object with its keys as the platform spelled them.
type Object map[string]jsontext.Value

// ParseObject parses one JSON object. Text that is not UTF-8 is accepted, because it
// must not hide the code next to it. A duplicate key is an error, because an answer
// that contradicts itself has no meaning.
func ParseObject(body []byte) (Object, bool) {
	var o Object
	err := json.Unmarshal(body, &o, jsontext.AllowInvalidUTF8(true))
	return o, err == nil && o != nil
}

// Text returns the first of the keys with a string or a number, as text. The platforms'
// documents show the same field in both forms.
func (o Object) Text(keys ...string) string {
	for _, key := range keys {
		value := o[key]
		switch value.Kind() {
		case '"':
			var text string
			if json.Unmarshal(value, &text, jsontext.AllowInvalidUTF8(true)) == nil && strings.TrimSpace(text) != "" {
				return strings.TrimSpace(text)
			}
		case '0':
			return string(value)
		}
	}
	return ""
}

// True reports whether the key contains the literal true, not the word.
func (o Object) True(key string) bool { return o[key].Kind() == 't' }

// Object returns the first of the keys that contains an object, or nil.
func (o Object) Object(keys ...string) Object {
	for _, key := range keys {
		if inner, ok := ParseObject(o[key]); ok {
			return inner
		}
	}
	return nil
}

// Texts returns the first of the keys that contains a list of strings, or nil.
func (o Object) Texts(keys ...string) []string {
	for _, key := range keys {
		var list []string
		if json.Unmarshal(o[key], &list, jsontext.AllowInvalidUTF8(true)) == nil && len(list) > 0 {
			return list
		}
	}
	return nil
}
