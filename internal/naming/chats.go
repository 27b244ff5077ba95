package naming

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/tasks"
)

// newChats checks how the chats of a person are found, and returns those of each class.
func (r *Rule) newChats() (map[string][]string, error) {
	c := r.spec.Chats
	switch {
	case r.spec.Kind != tasks.KindNickname && (c.Column != "" || c.Map != nil || c.Of != "" || c.Missing != ""):
		return nil, errors.New("chats is only for the kind nickname: remove it")
	case r.spec.Kind != tasks.KindNickname:
		return map[string][]string{}, nil
	case (c.Column == "") == (len(c.Map) == 0):
		return nil, errors.New("chats must have exactly one of column (it holds chat ids) and map (the chat ids of each class)")
	case c.Column != "" && (c.Of != "" || c.Missing != ""):
		return nil, errors.New("chats.of and chats.missing belong to chats.map: remove them")
	case c.Missing != "" && c.Missing != "report" && c.Missing != "skip":
		return nil, fmt.Errorf("chats.missing is %.40q: must be report or skip", c.Missing)
	}
	chats := map[string][]string{}
	for _, class := range slices.Sorted(maps.Keys(c.Map)) {
		ids := split(c.Map[class])
		if len(ids) == 0 {
			return nil, fmt.Errorf("chats.map: %.40s has no chat id: write one, or remove the class", class)
		}
		if _, twice := chats[Fold(class)]; twice {
			return nil, fmt.Errorf("chats.map: %.40s is in the map twice: keep one", class)
		}
		chats[Fold(class)] = ids
	}
	return chats, nil
}

// split returns the entries of a cell, each once.
func split(cell string) []string {
	var entries []string
	for entry := range strings.FieldsFuncSeq(cell, func(r rune) bool { return strings.ContainsRune(";；,，|", r) }) {
		if entry = strings.TrimSpace(entry); entry != "" && !slices.Contains(entries, entry) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// chatsOf returns the chats of a person: one that is empty for a kind without chats.
// excluded: the person is left out. what: why there is none.
func (r *Rule) chatsOf(values map[string]string) (chats []string, excluded bool, what string) {
	if r.spec.Kind != tasks.KindNickname {
		return []string{""}, false, ""
	}
	if r.spec.Chats.Map == nil {
		if chats = split(values["chat"]); len(chats) == 0 {
			return nil, false, "column " + r.column("chat") + " has no chat id: enter one, or leave the person out by the filter"
		}
		return chats, false, ""
	}
	missing := ""
	for _, class := range split(values[classesName]) {
		ids, known := r.chats[Fold(class)]
		if !known {
			missing = class
		}
		for _, id := range ids {
			if !slices.Contains(chats, id) {
				chats = append(chats, id)
			}
		}
	}
	switch {
	case r.spec.Chats.Missing == "skip":
		return chats, len(chats) == 0, ""
	case missing != "":
		return nil, false, fmt.Sprintf("class %.40s is not in chats.map: add it there, or write missing: skip", missing)
	case len(chats) == 0:
		return nil, false, "column " + r.column(classesName) + " is empty: enter a class, or write missing: skip"
	}
	return chats, false, ""
}
