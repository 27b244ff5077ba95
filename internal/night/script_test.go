package night_test

import (
	"strings"

	"rollcall/internal/night"
	"rollcall/internal/sandbox"
)

// chapter is what happens before, or in, a night.
type chapter struct {
	what    string      // in a sentence; empty: nothing
	before  func(*year) // changes the roster, the configuration or the platforms
	approve string      // schedule whose held night a person approves
	// states are those of schedules that are not done.
	states map[string]night.State
}

// all gives all schedules a state.
func all(state night.State) map[string]night.State {
	return map[string]night.State{ofNicknames: state, ofStudents: state, ofIDs: state}
}

// The users who leave and come back: one of a managed chat, one of another.
const (
	leaver      = "u027"
	otherLeaver = "u047"
)

// namesake is a newcomer who has the name and the class of u006.
func namesake() person {
	return person{user: "u102", uid: "100102", name: "陈佳琪", class: "7A", id: "chenjiaqi2", number: "2"}
}

// The rules that administrators write for nicknames in the course of the nights.
const (
	wrongFilter = `
filter: [{column: role, in: [班长]}]
template: '{{.class}} {{.name}}{{wrap "（" "）" .role}}'
chats: {map: {7A: chat7A, 7B: chat7B, 7C: chat7C, 7D: chat7D, 7E: chat7E}}
`
	misspeltFilter = `
filter: [{column: status, in: [pupil]}]
template: '{{.class}} {{.name}}{{wrap "（" "）" .role}}'
chats: {map: {7A: chat7A, 7B: chat7B, 7C: chat7C, 7D: chat7D, 7E: chat7E}}
`
)

// script is what happens in thirty nights.
func script() []chapter {
	return []chapter{
		{what: "The first night.", before: func(y *year) { y.role("班长", 1, 21, 41, 61, 81) }},
		{},
		{what: "Two students join 7A, and the teacher has added them to the chat.", before: func(y *year) {
			y.join(people(101, 101)...)
			y.join(people(103, 103)...)
		}},
		{what: "A student joins who has the name of another.", before: func(y *year) { y.join(namesake()) }},
		{what: "Two members rename themselves in the app.", before: func(y *year) {
			y.renames("u005", "the boss")
			y.renames("u026", "the captain")
		}},
		{what: "A student of 7B, whose chat the roster decides, and one of 7C leave the roster.", before: func(y *year) {
			y.leave(leaver)
			y.change(otherLeaver, func(p *person) { p.status = "left" })
		}},
		{what: "The platform bans the worker's address at the first of eight calls.", before: func(y *year) {
			y.role("学习委员", 2, 8, 22, 28, 42, 48, 62, 82)
			y.bans()
		}},
		{what: "The third night without the student of 7B.", before: func(y *year) { delete(y.leavers, leaver) }},
		{
			what: "An administrator writes a wrong filter: only monitors are named. One role changes.",
			before: func(y *year) {
				y.name(wrongFilter)
				y.role("体育委员", 3)
			},
			states: map[string]night.State{ofNicknames: night.StateHeld},
		},
		{
			what:   "The administrator corrects the filter, and misspells it: it leaves out everyone.",
			before: func(y *year) { y.name(misspeltFilter) },
			states: map[string]night.State{ofNicknames: night.StateFailed},
		},
		{what: "The filter is right again.", before: func(y *year) { y.name(ruleOfNicknames) }},
		{
			what: "The export lacks a class, 7D. A role changes in 7A.",
			before: func(y *year) {
				y.export.without = "7D"
				y.role("体育委员", 4)
			},
			states: all(night.StateHeld),
		},
		{what: "The export lacks the class again.", before: func(y *year) { y.export.without = "7D" }, states: all(night.StateHeld)},
		{what: "The export is whole again."},
		{what: "Both who left are back.", before: func(y *year) {
			y.leavers[leaver] = 6
			y.join(people(27, 27)...)
			y.change(otherLeaver, func(p *person) { p.status = "" })
		}},
		{},
		{what: "The platform revokes the app's token at the third of ten calls.", before: func(y *year) {
			y.role("小组长", 10, 11, 12, 30, 31, 32, 50, 51, 70, 90)
			y.arm(sandbox.Fault{Kind: sandbox.FaultExpiredToken, API: sandbox.APIGroupNick, At: 3})
		}},
		{what: "The second ban.", before: func(y *year) {
			y.role("语文课代表", 13, 33, 53, 73, 93)
			y.bans()
		}},
		{what: "One role has a word that the platform forbids.", before: func(y *year) {
			y.role("forbidden", 14)
			y.refused[slot{ofNicknames, "chat7A", "u014"}] = "the platform forbids the name"
		}},
		{what: "The month has twelve calls left, and thirty roles change.", before: func(y *year) {
			y.limit(12)
			for class := range len(classes) {
				for i := 15; i <= 20; i++ {
					y.role("值日生", class*classSize+i)
				}
			}
		}},
		{what: "Two more roles change, and a student joins.", before: func(y *year) {
			y.role("值日生", 9, 29)
			y.join(people(104, 104)...)
		}},
		{},
		{what: "The forbidden role is corrected.", before: func(y *year) {
			y.role("卫生委员", 14)
			delete(y.refused, slot{ofNicknames, "chat7A", "u014"})
		}},
		{what: "The month turns."},
		{
			what: "Tonight's export did not run, and yesterday's was removed: the file of the night before is back.",
			before: func(y *year) {
				y.role("图书管理员", 55)
				y.export.again = true
			},
			states: all(night.StateHeld),
		},
		{
			what: "The export is there. A member who renamed themselves has another role, and a student another name: their DingTalk ID cannot be changed twice a year.",
			before: func(y *year) {
				y.role("图书管理员", 26)
				y.change("u023", func(p *person) { p.name, p.id = "王子默", "wangzimo" })
				y.refused[slot{schedule: ofIDs, person: "u023"}] = "the ID cannot be changed again within a year"
			},
		},
		{what: "The export ends in the middle of a row.", before: func(y *year) { y.export.cut = true }, states: all(night.StateFailed)},
		{what: "The export is late: it is there at the second attempt.", before: func(y *year) {
			y.export.late = true
			y.role("图书管理员", 75)
		}},
		{
			what: "The administrator changes the template: roles are in square brackets. A person approves the held night.",
			before: func(y *year) {
				y.name(strings.NewReplacer(`"（"`, `"["`, `"）"`, `"]"`).Replace(ruleOfNicknames))
				y.square = true
			},
			approve: ofNicknames,
		},
		{what: "The last night.", before: func(y *year) { y.role("班长", 100) }},
	}
}
