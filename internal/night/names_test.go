package night_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/naming"
	"rollcall/internal/night"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/tasks"
)

var peopleColumns = []string{"user_id", "name", "class", "remark"}

// named applies a rule to records without headers.
func named(t *testing.T, rule night.Rule, records ...[]string) []run.Row {
	t.Helper()
	m, err := rule.Begin(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for i, fields := range records {
		rows, err := m.Add(peopleColumns, source.Record{At: "line " + string(rune('2'+i)), Fields: fields})
		if err != nil || len(rows) > 0 {
			t.Fatalf("Add returns %v, %v before all people are known", rows, err)
		}
	}
	rows, err := m.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func rule(t *testing.T, yaml string) *naming.Rule {
	t.Helper()
	spec, err := naming.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	r, err := naming.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const nicknames = `
template: "{{.class}} {{.name}}"
chats: {map: {7A: chat7a, 7B: chat7b}}
`

func TestPeopleAreNamedOnceAllAreKnown(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		names := night.Names{Rule: rule(t, nicknames), Tenant: tenant, Organisation: organisation, Ledger: ledger.New(s.Client(t))}
		rows := named(t, names, []string{"u2", "张伟", "7A", ""}, []string{"u1", "张伟", "7A", ""}, []string{"u3", "王芳", "9C", ""})
		want := []tasks.Task{
			tasks.NicknameSync{Tenant: tenant, ChatID: "chat7a", UserID: "u2", Nickname: "7A 张伟2"},
			tasks.NicknameSync{Tenant: tenant, ChatID: "chat7a", UserID: "u1", Nickname: "7A 张伟"},
			tasks.NicknameSync{Tenant: tenant, UserID: "u3"},
		}
		if len(rows) != len(want) {
			t.Fatalf("%d rows, want %d: %+v", len(rows), len(want), rows)
		}
		for i, row := range rows {
			if row.Request.Task != want[i] || row.Line != i+2 || (len(row.Problems) > 0) != (i == 2) {
				t.Errorf("row %d is %+v, want %+v", i, row, want[i])
			}
		}
	})
}

func TestIDsHaveAlternativesInTheirOrder(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		names := night.Names{Rule: rule(t, "{kind: id, alternatives: 2}"), Tenant: tenant, Organisation: organisation, Ledger: ledger.New(s.Client(t))}
		rows := named(t, names, []string{"u1", "张小伟", "7A", ""}, []string{"u2", "张小伟", "7A", ""})
		if len(rows) != 2 {
			t.Fatalf("%d rows, want 2: %+v", len(rows), rows)
		}
		one, _ := rows[0].Request.Task.(tasks.IDChange)
		two, _ := rows[1].Request.Task.(tasks.IDChange)
		if one.UserID != "u1" || one.DingTalkID != "zhangxiaowei" || len(one.Alternatives) != 2 || two.DingTalkID != "zhangxiaowei2" {
			t.Errorf("IDs are %+v and %+v", one, two)
		}
		for _, id := range one.Alternatives {
			if id == two.DingTalkID || slices.Contains(two.Alternatives, id) {
				t.Errorf("%s is planned for both", id)
			}
		}
	})
}

func TestAReadingWithoutAColumnOfTheRuleIsMalformed(t *testing.T) {
	t.Parallel()
	names := night.Names{Rule: rule(t, nicknames), Tenant: tenant}
	m, err := names.Begin(t.Context(), time.Time{})
	if err == nil {
		_, err = m.Add([]string{"user_id", "name"}, source.Record{Fields: []string{"u1", "a"}})
	}
	if err == nil {
		_, err = m.End(t.Context())
	}
	if fault, ok := err.(*source.Error); !ok || fault.Cause != source.Malformed { //nolint:errorlint // it is not wrapped
		t.Errorf("End returns %v, want malformed", err)
	}
}

func TestARuleThatLeavesOutEveryoneIsEmpty(t *testing.T) {
	t.Parallel()
	misspelt := night.Names{
		Rule: rule(t, nicknames+"filter: [{column: remark, in: [studnt]}]"), Tenant: tenant, Organisation: organisation,
		Ledger: ledger.New(redistest.One(t).Client(t)),
	}
	m, err := misspelt.Begin(t.Context(), first)
	if err == nil {
		_, err = m.Add(peopleColumns, source.Record{At: "line 2", Fields: []string{"u1", "王芳", "7A", "student"}})
	}
	if err == nil {
		_, err = m.End(t.Context())
	}
	fault, ok := err.(*source.Error) //nolint:errorlint // it is not wrapped
	if !ok || fault.Cause != source.Empty || !strings.Contains(fault.Error(), "studnt") {
		t.Errorf("End returns %v, want empty, and the value that no one has", err)
	}
}

// people writes a roster of people, the class of each in place of their chat.
func (r *rig) people(records ...member) {
	r.roll.columns = []string{"class", "user_id", "name"}
	r.roll.members = records
}

func TestNamesStayAndTheMissingClassIsNoAbsence(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, []member{{"chat7a", "u1", ""}, {"chat7a", "u2", ""}, {"chat7a", "u3", ""}})
		r.night.Rule = night.Names{Rule: rule(t, nicknames), Tenant: tenant, Organisation: organisation, Ledger: r.ledger}
		r.night.Absence = night.Absence{Nights: 1, Chats: []string{"chat7a"}}
		r.work()
		r.people(member{"7A", "u2", "张伟"}, member{"7A", "u3", "王芳"})
		r.whole(1)
		// A newcomer with the same name and a lower id; and a class that the rule does not have.
		r.people(member{"7A", "u2", "张伟"}, member{"7A", "u1", "张伟"}, member{"9C", "u3", "王芳"})
		got := r.whole(2)
		if got.State != night.StateDone || got.Planned != 1 || got.Missing != 0 || got.Removed != 0 {
			t.Errorf("the second night is %+v; want one call, and no one missing", got)
		}
		want := map[string]string{"chat7a/u1": "7A 张伟2", "chat7a/u2": "7A 张伟", "chat7a/u3": "7A 王芳"}
		if names := r.platform(); len(names) != len(want) || names["chat7a/u1"] != want["chat7a/u1"] || names["chat7a/u2"] != want["chat7a/u2"] {
			t.Errorf("the platform has %v, want %v", names, want)
		}
		// The class is known again: nothing has changed.
		r.people(member{"7A", "u2", "张伟"}, member{"7A", "u1", "张伟"}, member{"7A", "u3", "王芳"})
		if got := r.whole(3); got.State != night.StateDone || got.Planned != 0 || got.Missing != 0 {
			t.Errorf("the third night is %+v; want no call", got)
		}
	})
}
