package demo

import (
	"strconv"
	"strings"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

var groups = sample{
	requests: groupRequests,
	believe: func(b Believed, org sandbox.Organisation) {
		for _, c := range org.Chats {
			b["group "+c.ID+" name"] = c.Name
			b["group "+c.ID+" owner"] = c.Owner
			for option, value := range c.Options {
				b["group "+c.ID+" "+option] = strconv.Itoa(value)
			}
		}
	},
	wants: wantsGroup,
}

// groupRequests renames every chat; some get another owner, members or options too,
// and one chat does not exist.
func groupRequests() []tasks.Request {
	var all []tasks.Request
	for i, c := range classes {
		update := tasks.GroupUpdate{Tenant: DingTalk, ChatID: chatID(c), Name: "2026 " + c + " 班"}
		switch i {
		case 1:
			update.Owner, update.OwnerType = userID(8), tasks.OwnerEmployee
		case 2:
			update.Options.Searchable, update.Options.ValidationType = new(0), new(1)
		case 3:
			update.AddUserIDs, update.DelUserIDs = []string{userID(1)}, []string{userID(leftBehind)}
		}
		all = append(all, tasks.Request{Task: update})
	}
	return append(all, tasks.Request{Task: tasks.GroupUpdate{Tenant: DingTalk, ChatID: "chatdissolved", Name: "no chat"}})
}

func wantsGroup(o Outcome) Believed {
	t, ok := o.Task.(tasks.GroupUpdate)
	if !ok {
		return nil
	}
	b := Believed{}
	group := "group " + t.ChatID + " "
	if t.Name != "" {
		b[group+"name"] = t.Name
	}
	if t.Owner != "" {
		b[group+"owner"] = t.Owner
	}
	for _, o := range t.Options.Set() {
		b[group+camel(o.Name)] = strconv.Itoa(o.Value)
	}
	// A member who joins has no nickname in the chat yet.
	for _, user := range t.AddUserIDs {
		b["nick "+t.ChatID+" "+user] = ""
	}
	for _, user := range t.DelUserIDs {
		b["nick "+t.ChatID+" "+user] = gone
	}
	return b
}

const gone = "\x00gone"

// camel spells an option as the platform does: show_history_type, showHistoryType.
func camel(snake string) string {
	words := strings.Split(snake, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}
