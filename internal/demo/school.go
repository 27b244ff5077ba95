// Package demo is the sample school: its people, chats and courses as both
// platforms believe them, what its roster wants of them, what goes wrong on
// the way, and the comparison of what rollcall reports with what the emulated
// platforms wrote down.
//
// It must not know how tasks are carried out: it sees tasks, asynq's record of
// them, and the sandbox.
package demo

import (
	"fmt"
	"strconv"
	"time"

	"rollcall/internal/sandbox"
)

// The sample organisation's names and credentials. They open nothing but the
// sandbox.
const (
	Organisation = "lakeside"
	DingTalk     = "lakeside-dingtalk"
	ClassIn      = "lakeside-classin"
	AppKey       = "dingdemo"
	AppSecret    = "demo-app-secret"
	SID          = "1000082"
	Secret       = "demo-school-secret" //nolint:gosec // opens the sandbox alone
)

const (
	people = 200
	// Who is special. Person n has the user id u<n>, three digits.
	prohibitedNick = 13 // wants a nickname that the platform prohibits
	busyOnce       = 20 // meets "busy" twice, within one attempt
	busyLonger     = 21 // meets it for longer than one attempt
	cutBefore      = 30 // the connection is cut before the platform acts
	cutAfter       = 31 // and here after it acted
	leftBehind     = 2  // still in a chat of a class they left
	renamedTwice   = 40 // an earlier change, delayed by retries, and a later one
	notInChat      = 101
	unknownUser    = 150 // left the school; the roster does not know yet
)

var classes = []string{"7A", "7B", "8A", "8B", "9A", "9B"}

var (
	surnames = []string{
		"王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "朱", "马", "胡", "郭", "林", "何", "高", "梁",
		"欧阳", "司马", "诸葛", "上官",
	}
	givenNames = []string{
		"伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "涛", "明", "超", "雨涵", "梓轩",
		"子墨", "欣怡", "浩然", "思远", "佳琪", "一诺", "沐宸", "若曦",
	}
	otherNames = []string{
		"Zoë Brontë", "José Álvarez", "Nguyễn Thị Hoa", "Ольга Петрова", "佐藤 さくら", "김민준", "Łukasz Żak", "عمر حسن",
		"Siân O'Neill", "Müller-Lüdenscheidt", "[monitor]", `{"a":1}`, "Aylin 🌙", "Anaïs & Chloé", "ชนิดา", "Björk",
	}
)

// name is the n-th person's; every twelfth is not Chinese.
func name(n int) string {
	if n%12 == 0 {
		return otherNames[(n/12-1)%len(otherNames)]
	}
	return surnames[(n*7)%len(surnames)] + givenNames[(n*11)%len(givenNames)]
}

func userID(n int) string    { return fmt.Sprintf("u%03d", n) }
func class(n int) string     { return classes[(n-1)%len(classes)] }
func chatID(c string) string { return "chat" + c + "f3929" }

// World is what the platforms believe before the first task.
func World(now time.Time) sandbox.World {
	org := sandbox.Organisation{
		Name: Organisation,
		Apps: []sandbox.App{{Key: AppKey, Secret: AppSecret}},
	}
	members := map[string][]sandbox.Member{}
	for n := 1; n <= people; n++ {
		if n == unknownUser {
			continue
		}
		org.Employees = append(org.Employees, employee(n, now))
		if n != notInChat {
			members[class(n)] = append(members[class(n)], sandbox.Member{UserID: userID(n), Nick: name(n)})
		}
	}
	// Somebody who has moved to another class and was left in the old chat.
	members[classes[3]] = append(members[classes[3]], sandbox.Member{UserID: userID(leftBehind), Nick: name(leftBehind)})
	for _, c := range classes {
		org.Chats = append(org.Chats, sandbox.Chat{
			ID: chatID(c), Name: "Class " + c, Owner: members[c][0].UserID, Members: members[c],
		})
	}
	org.Schools = []sandbox.School{{SID: SID, Secret: Secret}}
	for _, s := range samples {
		if s.add != nil {
			s.add(&org)
		}
	}
	return sandbox.World{
		Organisations:   []sandbox.Organisation{org},
		ProhibitedNames: []string{"赌博"},
		TakenIDs:        []string{"lakeside005", "lakeside007"},
	}
}

func employee(n int, now time.Time) sandbox.Employee {
	e := sandbox.Employee{
		UserID: userID(n), UnionID: "union" + userID(n), Name: name(n), EnterpriseAccount: true,
		DingTalkID: "dt" + strconv.Itoa(880_000+n),
	}
	switch n {
	case lockedID:
		e.IDSetAt = now.AddDate(0, -3, 0)
	case privateAccount:
		e.EnterpriseAccount = false
	}
	return e
}
