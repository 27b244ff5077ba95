package privacy

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// Words returns the names and ids of people that a task holds.
func Words(task tasks.Task) []string {
	var words []string
	kinds.Mask(task, func(word string) string {
		words = append(words, word)
		return word
	})
	return words
}

// WordsOf returns those of a stored task. Of one that cannot be read, by a newer producer
// or cut, they are all its texts.
func WordsOf(typename string, payload []byte) []string {
	task, _, err := kinds.Decode(typename, payload)
	if err != nil {
		return texts(payload)
	}
	return Words(task)
}

// WordsOfTarget returns those of the key of a target of a kind.
func WordsOfTarget(kind tasks.Kind, key string) []string {
	var words []string
	kinds.MaskKey(kind, key, func(word string) string {
		words = append(words, word, unescapeKey.Replace(word))
		return word
	})
	return words
}

// unescapeKey is the inverse of how an id with a slash stands in a key.
var unescapeKey = strings.NewReplacer("%25", "%", "%2F", "/")

// WordsOfValue returns those of the value of a field of a kind, by the ledger's name.
func WordsOfValue(kind tasks.Kind, field, value string) []string {
	if !kinds.Personal(kind, field) {
		return nil
	}
	// An owner is stored with its type: emp:ann.
	_, id, _ := strings.Cut(value, ":")
	return []string{value, id}
}

const (
	// mostTexts bounds how many texts of an unreadable payload are masked.
	mostTexts = 1000
	// shortestText is the length in bytes from which such a text may be a name.
	shortestText = 2
)

// public are the fields of payloads that name no person.
var public = []string{"tenant", "chat_id", "course_id", "icon", "owner_type"}

// texts returns the values of a JSON text that are texts, as far as it can be read,
// except public ones.
func texts(payload []byte) []string {
	var all []string
	field := ""
	d := jsontext.NewDecoder(bytes.NewReader(payload), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for len(all) < mostTexts && d.StackDepth() <= kinds.MaxDepth {
		token, err := d.ReadToken()
		if err != nil {
			break
		}
		in, read := d.StackIndex(d.StackDepth())
		switch text := token.String(); {
		case in == jsontext.KindBeginObject && read%2 == 1:
			field = text
		case token.Kind() == jsontext.KindString && len(text) >= shortestText && !slices.Contains(public, field):
			all = append(all, text)
		}
	}
	return all
}
