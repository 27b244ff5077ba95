package demo

import (
	"fmt"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

var nicknames = sample{
	// Everybody's nickname gets their class.
	requests: func() []tasks.Request {
		var all []tasks.Request
		for n := 1; n <= people; n++ {
			nick := class(n) + " " + name(n)
			if n == prohibitedNick {
				nick = class(n) + " 赌博"
			}
			all = append(all, tasks.Request{Task: nickname(n, nick)})
		}
		return all
	},
	believe: func(b Believed, org sandbox.Organisation) {
		for _, c := range org.Chats {
			for _, m := range c.Members {
				b["nick "+c.ID+" "+m.UserID] = m.Nick
			}
		}
	},
	wants: func(o Outcome) Believed {
		t, ok := o.Task.(tasks.NicknameSync)
		if !ok {
			return nil
		}
		return Believed{"nick " + t.ChatID + " " + t.UserID: t.Nickname}
	},
}

// Older is the change that a retry delays: it is enqueued first, and a later one
// for the same person follows among Requests.
func Older() tasks.Request {
	return tasks.Request{Task: nickname(renamedTwice, "old name")}
}

// Renames are the rows of a run for a person to take back: a few members of 9B. The last
// has left the school.
func Renames() []tasks.Request {
	return withTeams(6, 12, 18, 24, unknownUser)
}

// WholeClass are the rows of a run that waits for a person, because so many known names
// change: all members of 9A.
func WholeClass() []tasks.Request {
	var members []int
	for n := 5; n < notInChat; n += len(classes) {
		members = append(members, n)
	}
	return withTeams(members...)
}

// withTeams gives people a nickname with the team that they are in.
func withTeams(members ...int) []tasks.Request {
	teams := []string{"一组", "二组", "三组", "四组"}
	all := make([]tasks.Request, len(members))
	for i, n := range members {
		all[i].Task = nickname(n, fmt.Sprintf("%s %s（%s）", class(n), name(n), teams[i%len(teams)]))
	}
	return all
}

func nickname(n int, nick string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: DingTalk, ChatID: chatID(class(n)), UserID: userID(n), Nickname: nick}
}
