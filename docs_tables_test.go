package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/tasks"
)

// tableRows returns the cells of every table row below the heading, up to the
// next one, without the head of the table.
func tableRows(p page, heading string) [][]string {
	var rows [][]string
	inside := false
	for _, line := range p.prose {
		if strings.HasPrefix(line, "#") {
			inside = strings.TrimSpace(strings.TrimLeft(line, "#")) == heading
			continue
		}
		if !inside || !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(cells[0], "---") {
			rows = rows[:len(rows)-1]
			continue
		}
		rows = append(rows, cells)
	}
	return rows
}

func plain(cell string) string { return strings.Trim(cell, "`") }

func TestTheImportTableIsDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string][]string{}
	for _, row := range tableRows(readPage(t, "docs/architecture.md"), "Who may import whom") {
		allowed := []string{}
		for _, m := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			allowed = append(allowed, m[1])
		}
		slices.Sort(allowed)
		documented[plain(row[0])] = allowed
	}
	want := map[string][]string{}
	for room, allowed := range imports {
		want[room] = append([]string{}, allowed...)
		slices.Sort(want[room])
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/architecture.md and the table in arch_test.go differ (-code +page):\n%s", diff)
	}
}

func TestEveryRoomIsOnTheMap(t *testing.T) {
	t.Parallel()
	var named []string
	for _, row := range tableRows(readPage(t, "README.md"), "The rooms") {
		for _, m := range codeSpan.FindAllStringSubmatch(row[0], -1) {
			named = append(named, m[1])
		}
	}
	want := append(slices.Sorted(maps.Keys(imports))[1:], "tools") // without the root itself
	slices.Sort(want)
	slices.Sort(named)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("the README's map of rooms is not that of the code (-code +page):\n%s", diff)
	}
}

// A key of the configuration as its page tells it.
type documentedKey struct{ Type, Default string }

// smallest holds the required keys alone, so that every other one is at its
// default.
const smallest = `
organisations:
  - name: a
    tenants:
      - {name: d, dingtalk: {api: https://api.dingtalk.io, oapi: https://oapi.dingtalk.io, app_key: k, app_secret: {env: S}}}
      - {name: c, classin: {sid: "1", secret: {env: S}}}
`

func anySecret(string) string { return "s3cret" }

func TestEveryConfigurationKeyIsDocumented(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("smallest", []byte(smallest), anySecret)
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{}
	for _, key := range []string{
		"organisations[].name", "organisations[].tenants[].name",
		"organisations[].tenants[].dingtalk.api", "organisations[].tenants[].dingtalk.oapi",
		"organisations[].tenants[].dingtalk.app_key", "organisations[].tenants[].dingtalk.app_secret",
		"organisations[].tenants[].classin.sid", "organisations[].tenants[].classin.secret",
	} {
		required[key] = true
	}
	want := map[string]documentedKey{}
	collectKeys(t, "", reflect.ValueOf(*cfg), required, want)

	p := readPage(t, "docs/config.md")
	documented := map[string]documentedKey{}
	sections := []string{"Top level", "`redis`", "`log`", "`organisations[]`", "`organisations[].tenants[]`",
		"`organisations[].tenants[].dingtalk`", "`organisations[].tenants[].classin`"}
	for _, section := range sections {
		prefix := ""
		if strings.HasPrefix(section, "`") {
			prefix = plain(section) + "."
		}
		for _, row := range tableRows(p, section) {
			documented[prefix+plain(row[0])] = documentedKey{Type: row[1], Default: plain(row[2])}
		}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/config.md and internal/config differ (-code +page):\n%s", diff)
	}

	for heading, of := range map[string]reflect.Type{"A secret": reflect.TypeFor[config.Source](), "A limit": reflect.TypeFor[config.Limit]()} {
		var want, got []string
		for i := range of.NumField() {
			if name := of.Field(i).Tag.Get("yaml"); name != "-" {
				want = append(want, name)
			}
		}
		for _, row := range tableRows(p, heading) {
			got = append(got, plain(row[0]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("docs/config.md, %s (-code +page):\n%s", heading, diff)
		}
	}
}

// collectKeys walks a parsed configuration. Of several elements of a list each
// adds what it has.
func collectKeys(t *testing.T, path string, v reflect.Value, required map[string]bool, out map[string]documentedKey) {
	t.Helper()
	add := func(kind, def string) {
		switch {
		case required[path]:
			def = "required"
		case def == "":
			def = "none"
		}
		out[path] = documentedKey{Type: kind, Default: def}
	}
	switch value := v.Interface().(type) {
	case config.Source:
		add("secret", "")
		return
	case config.Limit:
		add("limit", fmt.Sprintf("%d per %s", value.Calls, time.Duration(value.Per)))
		return
	case config.Duration:
		add("duration", time.Duration(value).String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collectKeys(t, path, v.Elem(), required, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collectKeys(t, path+"[]", v.Index(i), required, out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if path != "" {
				name = path + "." + name
			}
			collectKeys(t, name, v.Field(i), required, out)
		}
	case reflect.String:
		add("text", v.String())
	case reflect.Int:
		add("whole number", strconv.FormatInt(v.Int(), 10))
	default:
		t.Errorf("%s has a type that docs/config.md has no word for: %s", path, v.Type())
	}
}

func TestTheExampleConfigurationIsTaken(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(content)
	if m == nil {
		t.Fatal("docs/config.md has no example")
	}
	if _, err := config.Parse("docs/config.md", m[1], anySecret); err != nil {
		t.Error(err)
	}
}

// wrong holds an error of each class. Which class it is of is the code's to
// say; that all are here is checked against its list.
func wrong() []error {
	all := []error{
		lane.ErrStopping, ledger.ErrLost, &ledger.BusyError{}, &lane.HeldError{}, &tasks.NewerVersionError{},
		&tasks.PayloadError{}, &lane.PanicError{}, errors.New("connection refused"),
		&providers.Error{Kind: providers.Unsent, Err: context.DeadlineExceeded},
	}
	for _, k := range providers.Kinds() {
		all = append(all, &providers.Error{Kind: k})
	}
	return all
}

// ruleOf finds out how a class is treated by having an error of it judged, often
// enough to see the longest of its random waits.
func ruleOf(err error) (class string, rule []string) {
	now := time.UnixMilli(1_763_762_142_000)
	judge := func(n int, since time.Duration) lane.Verdict {
		return lane.Judge(err, now, func(lane.Class) (int, time.Time, error) { return n, now.Add(-since), nil })
	}
	first := judge(1, 0)
	if first.Action == lane.Dead {
		return string(first.Class), []string{"–", "–", "–", "–", "–", "at once"}
	}
	attempts, within, end, last := "not counted", "–", "never", 1
	if first.Counted {
		end, last = "after the last", first.Allowed-1
		for judge(last+1, 0).Action != lane.Dead || judge(last, 0).Action == lane.Dead {
			return string(first.Class), []string{fmt.Sprintf("it does not end after %d attempts", first.Allowed)}
		}
		attempts = strconv.Itoa(first.Allowed)
		horizon := time.Minute
		for judge(1, horizon).Action != lane.Dead {
			horizon += time.Minute
		}
		within = inWords(horizon)
	}
	hold := "–"
	if first.Hold > 0 {
		hold = inWords(first.Hold)
	}
	return string(first.Class), []string{attempts, within, longest(judge, 1), longest(judge, last), hold, end}
}

// longest is the bound of a random wait, to the second.
func longest(judge func(int, time.Duration) lane.Verdict, n int) string {
	var most time.Duration
	for range 4000 {
		most = max(most, judge(n, 0).After)
	}
	return inWords(roundUp(most))
}

// roundUp takes the largest of many draws below a bound for the bound: a figure of
// two digits at the most, as people write them.
func roundUp(d time.Duration) time.Duration {
	unit := time.Second
	for _, larger := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		if d > 3*larger {
			unit = larger
		}
	}
	return (d + unit - 1) / unit * unit
}

// inWords is a length of time without the zeros that Go prints.
func inWords(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func TestEveryClassIsDocumentedAsItIsTreated(t *testing.T) {
	t.Parallel()
	want := map[string][]string{}
	for _, err := range wrong() {
		class, rule := ruleOf(err)
		want[class] = rule
	}
	for _, class := range classes(t) {
		if want[class] == nil {
			t.Errorf("no error here is of class %s: add one", class)
		}
	}
	p := readPage(t, "docs/outcomes.md")
	documented := map[string][]string{}
	for _, row := range tableRows(p, "Classes") {
		documented[plain(row[0])] = row[1:]
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/outcomes.md and internal/lane/outcome.go differ (-code +page):\n%s", diff)
	}

	var advised []string
	for _, row := range tableRows(p, "What an operator does") {
		for _, m := range codeSpan.FindAllStringSubmatch(row[0], -1) {
			advised = append(advised, m[1])
		}
	}
	slices.Sort(advised)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), advised); diff != "" {
		t.Errorf("docs/outcomes.md does not say of every class what an operator does (-code +page):\n%s", diff)
	}
}

// classes are the constants of type Class, as they stand in the code.
func classes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "internal/lane/outcome.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Class") {
			return true
		}
		if text, ok := spec.Values[0].(*ast.BasicLit); ok {
			all = append(all, strings.Trim(text.Value, `"`))
		}
		return true
	})
	if len(all) == 0 {
		t.Fatal("internal/lane/outcome.go has no constants Class…: have they moved?")
	}
	return all
}

func TestEveryKindIsDocumentedWithItsClass(t *testing.T) {
	t.Parallel()
	want, documented := map[string]string{}, map[string]string{}
	for _, k := range providers.Kinds() {
		v := lane.Judge(&providers.Error{Kind: k}, time.Now(), func(lane.Class) (int, time.Time, error) { return 1, time.Now(), nil })
		want[k.String()] = string(v.Class)
	}
	for _, row := range tableRows(readPage(t, "docs/outcomes.md"), "Where a class comes from") {
		documented[plain(row[0])] = codeSpan.FindStringSubmatch(row[1])[1]
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/outcomes.md and internal/lane/outcome.go differ (-code +page):\n%s", diff)
	}
}
