package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// Result is what rollcall says became of a task.
type Result string

const (
	// ResultApplied means that the platform holds the requested value.
	ResultApplied Result = "applied"
	// ResultNoCall means that no call was needed: unchanged, superseded, settled.
	ResultNoCall Result = "no call needed"
	// ResultDead means that it was given up and changed nothing.
	ResultDead Result = "dead letter"
	// ResultUnverified means that it was given up and may have been applied.
	ResultUnverified Result = "unverified"
)

// Outcome is one task and what rollcall says became of it.
type Outcome struct {
	Task     tasks.Task
	Revision int64
	Result   Result
	Took     string // the ID that was taken, if not the wanted one
	Cause    string // of a dead letter
}

// Believed is what the platforms hold, one value a key such as
// "nick chat7Af3929 u001" or "id u001".
type Believed map[string]string

// Believes flattens what the platforms of the sample organisation hold.
func Believes(org sandbox.Organisation) Believed {
	b := Believed{}
	for _, e := range org.Employees {
		b["id "+e.UserID] = e.DingTalkID
	}
	for _, c := range org.Chats {
		b["group "+c.ID+" name"] = c.Name
		b["group "+c.ID+" owner"] = c.Owner
		for option, value := range c.Options {
			b["group "+c.ID+" "+option] = strconv.Itoa(value)
		}
		for _, m := range c.Members {
			b["nick "+c.ID+" "+m.UserID] = m.Nick
		}
	}
	for _, s := range org.Schools {
		for _, c := range s.Courses {
			if c.ID == club {
				b.believesClub(c)
				continue
			}
			synced := true
			for _, student := range c.Students {
				synced = synced && (student.Nickname == student.Name)
			}
			b["course "+c.ID] = strconv.FormatBool(synced)
		}
	}
	return b
}

// wants is what a task would make the platforms hold. An empty value means that
// the key does not exist.
func wants(o Outcome) Believed {
	switch t := o.Task.(type) {
	case tasks.NicknameSync:
		return Believed{"nick " + t.ChatID + " " + t.UserID: t.Nickname}
	case tasks.CourseSync:
		return Believed{"course " + t.CourseID: "true"}
	case tasks.StudentSync:
		return wantsStudent(t)
	case tasks.IDChange:
		return Believed{"id " + t.UserID: cmp.Or(o.Took, t.DingTalkID)}
	case tasks.GroupUpdate:
		return wantsGroup(t)
	}
	return nil
}

func wantsGroup(t tasks.GroupUpdate) Believed {
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

// Disagreements compares what rollcall says with what the platforms hold: the
// state before, plus every change reported as applied in the order of revisions,
// must be the state after; what is unverified may hold either value. An empty
// list means that they agree.
func Disagreements(before, after Believed, outcomes []Outcome) []string {
	expected := maps.Clone(before)
	either := map[string]string{}
	slices.SortStableFunc(outcomes, func(a, b Outcome) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, o := range outcomes {
		switch o.Result {
		case ResultApplied:
			maps.Copy(expected, wants(o))
		case ResultUnverified:
			maps.Copy(either, wants(o))
		case ResultNoCall, ResultDead:
		}
	}

	var wrong []string
	keys := maps.Clone(expected)
	maps.Copy(keys, after)
	for key := range keys {
		want, got := expected[key], after[key]
		if want == gone {
			want = ""
		}
		if maybe, unverified := either[key]; unverified && got == maybe {
			continue
		}
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: the platform holds %q, rollcall's report says %q", key, got, want))
		}
	}
	slices.Sort(wrong)
	return wrong
}
