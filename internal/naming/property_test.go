package naming_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/naming"
	"rollcall/tasks"
)

// drawPeople makes people with few names in few chats, so that many are equal.
func drawPeople(t *rapid.T, column string) []naming.Person {
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"张伟", "张伟2", "张伟22", "章伟", "吴一", "欧阳娜娜", "👨‍👩‍👧‍👦", "e\u0301", strings.Repeat("长", 40), strings.Repeat("长", 29) + "一"}),
		rapid.StringMatching(`[张李]{1,2}[0-9]{0,2}`),
	)
	n := rapid.IntRange(1, 25).Draw(t, "people")
	people := make([]naming.Person, n)
	for i := range people {
		people[i] = naming.Person{
			Columns: []string{column, "name", "class", "chat_id"},
			Fields: []string{
				fmt.Sprintf("1%02d", i), name.Draw(t, "name"), rapid.SampledFrom([]string{"7A", "7B", "七年级三班"}).Draw(t, "class"),
				rapid.SampledFrom([]string{"c1", "c2", "c1;c2"}).Draw(t, "chats"),
			},
		}
	}
	return people
}

var nicknameRules = []string{
	`{template: "{{.name}}", chats: {column: chat_id}}`,
	`{template: "{{.class}} {{.name}}", chats: {column: chat_id}, equal_names: {suffix: "（#）"}}`,
	`{template: "{{.name}}{{wrap \" (\" \")\" .class}}", chats: {map: {7A: c1, 7B: c2}, missing: skip}, max: 12, max_width: 16}`,
	`{template: "{{pinyin .name}}{{.name}}", shorter: "{{first 3 .name}}", chats: {column: chat_id}, max: 14}`,
}

// limits are the characters and the width that a rule allows.
func limits(spec naming.Spec) (characters, width int) {
	characters, width = spec.Max, spec.MaxWidth
	if characters == 0 {
		characters = tasks.DefaultNicknameMax
	}
	return characters, width
}

func TestNicknamesAreDifferentShortEnoughAndStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(nicknameRules).Draw(t, "rule")
		spec, err := naming.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		rule, err := naming.Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		people := drawPeople(t, "user_id")
		before := map[string]string{}
		for _, p := range people {
			before[p.Fields[0]+"/c1"] = rapid.SampledFrom([]string{"", "张伟", "张伟2", "张伟3", "张李", "7A 张伟（2）", "x"}).Draw(t, "had")
		}
		result := rule.Apply(people, had(before))
		first := values(result)
		characters, width := limits(spec)
		seen := map[string]bool{}
		for _, n := range result.Named {
			task := tasks.NicknameSync{Tenant: "t", ChatID: n.Chat, UserID: n.Person, Nickname: n.Value}
			if err := task.Validate(tasks.Limits{}); err != nil || utf8.RuneCountInString(n.Value) > characters {
				t.Fatalf("%q: %v", n.Value, err)
			}
			if width > 0 && cells(n.Value) > width {
				t.Fatalf("%q is wider than %d", n.Value, width)
			}
			if seen[n.Chat+"/"+n.Value] {
				t.Fatalf("two people of %s are called %q", n.Chat, n.Value)
			}
			seen[n.Chat+"/"+n.Value] = true
		}
		// Who has a name that is theirs keeps it: applied again, nothing changes.
		if diff := cmp.Diff(first, values(rule.Apply(people, had(first)))); diff != "" {
			t.Fatalf("applied again (-first +second):\n%s", diff)
		}
		// Nor does the order of people.
		mixed := slices.Clone(people)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if diff := cmp.Diff(first, values(rule.Apply(mixed, had(before)))); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
		// When somebody leaves, no one else gets another name.
		rest := slices.Delete(mixed, 0, 1)
		for at, name := range values(rule.Apply(rest, had(first))) {
			if first[at] != name {
				t.Fatalf("%s is renamed from %q to %q because another person left", at, first[at], name)
			}
		}
	})
}

// cells counts two for everything but ASCII: more than the real width of a name.
func cells(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			n++
		case r == '\u0301' || r == '\u200d': // part of the character before
		case r >= 0x1f466 && r <= 0x1f469: // the emoji of the test, of four people: two in all
			if r == 0x1f468 {
				n += 2
			}
		default:
			n += 2
		}
	}
	return n
}

func TestIDsAreValidStableAndOfOnePersonEach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := compile(t, `{kind: id, alternatives: 3, template: "{{pinyin .name}}", filter: [{column: class, not_in: [七年级三班]}]}`)
		people := drawPeople(t, "user_id")
		before := map[string]string{}
		for i, id := range []string{"zhangwei", "zhangwei2", "zhangwei22", "wuyi01", "wuyi02", "zhangzhang", "lilili", "li0001", "someone"} {
			if i < len(people) && rapid.Bool().Draw(t, "has an ID") {
				before[people[rapid.IntRange(0, len(people)-1).Draw(t, "person")].Fields[0]] = id
			}
		}
		result := rule.Apply(people, had(before))
		first := values(result)
		changed := map[string]bool{} // people whose change was made
		owner := map[string]string{}
		for person, id := range before {
			owner[id] = person
		}
		planned := map[string]string{}
		for _, n := range result.Named {
			task := tasks.IDChange{Tenant: "t", UserID: n.Person, DingTalkID: n.Value, Alternatives: n.Alternatives}
			if err := task.Validate(tasks.Limits{}); err != nil {
				t.Fatal(err)
			}
			for _, id := range append([]string{n.Value}, n.Alternatives...) {
				if other, twice := planned[id]; twice {
					t.Fatalf("%s is planned for %s and %s", id, other, n.Person)
				}
				planned[id] = n.Person
				// In this order every ID is free when its turn comes.
				if has, taken := owner[id]; taken && has != n.Person && !changed[has] {
					t.Fatalf("%s gets %s, which %s still has", n.Person, id, has)
				}
			}
			changed[n.Person] = before[n.Person] != n.Value
		}
		if diff := cmp.Diff(first, values(rule.Apply(people, had(merged(before, first))))); diff != "" {
			t.Fatalf("applied again (-first +second):\n%s", diff)
		}
		mixed := slices.Clone(people)
		slices.Reverse(mixed)
		again := rule.Apply(mixed, had(before))
		for i := range again.Named {
			again.Named[i].Row = len(people) - 1 - again.Named[i].Row
		}
		if diff := cmp.Diff(result.Named, again.Named); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
	})
}

// merged are the IDs after the changes.
func merged(before, after map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{before, after} {
		maps.Copy(all, m)
	}
	return all
}

// A template that is accepted ends, gives a bounded text, and never fails but by a problem of
// the row.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		`{{class .class}} {{.name}}{{wrap "（" "）" (role .role)}}`, `{{with .role}}{{.}} {{$.name}}{{end}}`,
		`{{if and (eq .role "a") (not .name)}}x{{else if .name | contains "b"}}y{{end}}`, `{{range 10}}x{{end}}`,
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, `{{replace "x" (replace "x" "xx" .name) .name | half | pinyin | first 3}}`,
		`{{printf "%9999999d" 1}}`, `{{or .name "x" | last 2 | upper}}`, `{{block "b" .}}x{{end}}`, `{{(.name)}}`, `{{index . "x"}}`, `{{- .班级 -}}`,
	} {
		f.Add(template, "张伟", "7A")
		f.Add(template, strings.Repeat("ﷺx", 500), "👨‍👩‍👧‍👦\u200d")
	}
	f.Fuzz(func(t *testing.T, template, name, class string) {
		rule, err := naming.Compile(naming.Spec{Template: template, Chats: naming.Chats{Column: "chat_id"}})
		if err != nil {
			return
		}
		columns := append(rule.Columns(), "name", "class")
		fields := make([]string, len(columns))
		for i, column := range columns {
			switch column {
			case "user_id", "chat_id":
				fields[i] = "x1"
			case "class":
				fields[i] = class
			default:
				fields[i] = name
			}
		}
		got := rule.Apply([]naming.Person{{Columns: columns, Fields: fields}}, nil)
		if len(got.Named)+len(got.Problems) != 1 {
			t.Fatalf("%+v", got)
		}
		for _, p := range got.Problems {
			if strings.Contains(p.What, "the template fails") {
				t.Fatalf("%q: %s", template, p.What)
			}
		}
		for _, n := range got.Named {
			if err := (tasks.NicknameSync{Tenant: "t", ChatID: n.Chat, UserID: n.Person, Nickname: n.Value}).Validate(tasks.Limits{}); err != nil {
				t.Fatalf("%q gives %q: %v", template, n.Value, err)
			}
		}
	})
}

// BenchmarkApply names a million people: "s/million" must stay below 30 on one core.
func BenchmarkApply(b *testing.B) {
	rule := compile(b, school)
	columns := []string{"学号", "姓名", "班级", "身份", "状态"}
	people := make([]naming.Person, 100_000)
	for i := range people {
		people[i] = naming.Person{Columns: columns, Fields: []string{fmt.Sprintf("u%06d", i), "张伟" + string(rune('一'+i%3000)), "8A", "班长", ""}}
	}
	b.ResetTimer()
	for b.Loop() {
		if got := rule.Apply(people, nil); len(got.Named) == 0 {
			b.Fatal(got.Problems[:1])
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*10, "s/million")
}
