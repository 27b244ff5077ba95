package demo

import (
	"fmt"
	"time"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// Who is special among those whose DingTalk ID changes.
const (
	lockedID       = 3  // set three months ago
	takenButSpare  = 5  // the wanted ID is taken, an alternative is free
	taken          = 7  // the wanted ID is taken and there is no alternative
	privateAccount = 9  // not the organisation's to change
	idCut          = 11 // the answer is lost after the platform acted
	idBusy         = 12 // the platform says busy; the outcome is unknown
	idChanges      = 12
)

// Older is the change that a retry delays: it is enqueued first, and a later one
// for the same person follows among Requests.
func Older() tasks.Request {
	return tasks.Request{Task: nickname(renamedTwice, "old name")}
}

// Requests is what the roster wants: every kind of task, in the order in which
// they are enqueued.
func Requests() []tasks.Request {
	var all []tasks.Request
	for n := 1; n <= people; n++ {
		nick := class(n) + " " + name(n)
		if n == prohibitedNick {
			nick = class(n) + " 赌博"
		}
		all = append(all, tasks.Request{Task: nickname(n, nick)})
	}
	all = append(all, groups()...)
	for i := range courses {
		all = append(all, tasks.Request{Task: tasks.CourseSync{Tenant: ClassIn, CourseID: courseID(i)}})
	}
	for n := 1; n <= idChanges; n++ {
		change := tasks.IDChange{Tenant: DingTalk, UserID: userID(n), DingTalkID: fmt.Sprintf("lakeside%03d", n)}
		if n == takenButSpare {
			change.Alternatives = []string{"lakeside007", "lakesideSchool005"}
		}
		all = append(all, tasks.Request{Task: change, Options: tasks.Options{Urgent: n == 1}})
	}
	return append(all, students()...)
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

// groups renames every chat; some get another owner, members or options too,
// and one chat does not exist.
func groups() []tasks.Request {
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

// Scenario returns the faults of the demo: retries overcome some of them, the others
// need a person.
func Scenario() sandbox.Scenario {
	nick := func(n int, f sandbox.Fault) sandbox.Fault {
		f.API, f.User = sandbox.APIGroupNick, userID(n)
		return f
	}
	return sandbox.Scenario{Faults: []sandbox.Fault{
		{Name: "everyday latency", Kind: sandbox.FaultLatency, Latency: 20 * time.Millisecond, Jitter: 30 * time.Millisecond},
		nick(busyOnce, sandbox.Fault{Name: "busy", Kind: sandbox.FaultAnswer, Code: "400001", First: 2}),
		nick(busyLonger, sandbox.Fault{Name: "busy longer", Kind: sandbox.FaultAnswer, Code: "400001", First: 4}),
		nick(renamedTwice, sandbox.Fault{Name: "delays the old name", Kind: sandbox.FaultAnswer, Code: "400001", First: 3}),
		nick(cutBefore, sandbox.Fault{Name: "cut before", Kind: sandbox.FaultReset, First: 1}),
		nick(cutAfter, sandbox.Fault{Name: "cut after", Kind: sandbox.FaultReset, Applied: true, First: 1}),
		{Name: "throttled", API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "90018", At: 60},
		{Name: "token expired", API: sandbox.APIGroupNick, Kind: sandbox.FaultExpiredToken, At: 120},
		{Name: "system error", API: sandbox.APIGroupUpdate, Kind: sandbox.FaultAnswer, Code: "system.error", First: 4},
		{Name: "course failed", API: sandbox.APIClassNick, Kind: sandbox.FaultAnswer, Code: "104", First: 1},
		{Name: "answer lost", API: sandbox.APIChangeID, User: userID(idCut), Kind: sandbox.FaultReset, Applied: true},
		{Name: "busy, unknown", API: sandbox.APIChangeID, User: userID(idBusy), Kind: sandbox.FaultAnswer, Code: "system.busy"},
	}}
}
