package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/providers"
)

// wrong holds an error of each class. Which class it is of is the code's to
// say; that all are here is checked against its list.
func wrong() []error {
	all := []error{
		lane.ErrStopping, ledger.ErrLeaseLost, &ledger.BusyError{}, &lane.HeldError{}, &lane.RunHaltedError{}, &lane.RunCancelledError{}, &pace.BookedOutError{}, &pace.SpentError{},
		&kinds.NewerVersionError{}, &handler.AgainError{After: 5 * time.Minute},
		&kinds.PayloadError{}, &lane.PanicError{}, &lane.PoisonError{}, errors.New("connection refused"),
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
		return lane.Judge(err, now, func(outcome.Class) (int, time.Time, error) { return n, now.Add(-since), nil })
	}
	first := judge(1, 0)
	if first.Action == outcome.Dead {
		return string(first.Class), []string{"–", "–", "–", "–", "at once"}
	}
	attempts, within, end, last := "not counted", "–", "never", 1
	if first.Counted {
		end, last = "after the last", first.Allowed-1
		for judge(last+1, 0).Action != outcome.Dead || judge(last, 0).Action == outcome.Dead {
			return string(first.Class), []string{fmt.Sprintf("it does not end after %d attempts", first.Allowed)}
		}
		attempts = strconv.Itoa(first.Allowed)
		horizon := time.Minute
		for judge(1, horizon).Action != outcome.Dead {
			horizon += time.Minute
		}
		within = inWords(horizon)
	}
	return string(first.Class), []string{attempts, within, longest(judge, 1), longest(judge, last), end}
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
	return (d + unit - 1).Truncate(unit)
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

func TestThePageOfOutcomesSaysWhatAnOperatorDoes(t *testing.T) {
	t.Parallel()
	var want, advised []string
	for _, class := range outcome.Classes() {
		if class.OfAttempt() {
			want = append(want, string(class))
		}
	}
	for _, row := range tableRows(readPage(t, "docs/outcomes.md"), "What an operator does") {
		for _, m := range codeSpan.FindAllStringSubmatch(row[0], -1) {
			advised = append(advised, m[1])
		}
	}
	slices.Sort(advised)
	if diff := cmp.Diff(want, advised); diff != "" {
		t.Errorf("docs/outcomes.md does not say of every class what an operator does (-code +page):\n%s", diff)
	}
}

// constant is one of a type of strings, or of no type, with its comment.
type constant struct{ value, meaning string }

func constantsOf(t *testing.T, path, typename string) []constant {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []constant
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name != typename || !ok && typename != "" {
			return true
		}
		if text, ok := spec.Values[0].(*ast.BasicLit); ok {
			all = append(all, constant{strings.Trim(text.Value, `"`), meaningOf(&ast.Field{Names: spec.Names, Doc: spec.Doc, Comment: spec.Comment})})
		}
		return true
	})
	if len(all) == 0 {
		t.Fatalf("%s has no constants of type %s: have they moved?", path, typename)
	}
	return all
}

func TestEveryClassAndLevelOfHoldsIsDocumented(t *testing.T) {
	t.Parallel()
	p := readPage(t, "docs/holds.md")
	var classes, documented []string
	for _, c := range hold.Classes() {
		classes = append(classes, string(c))
	}
	for _, row := range tableRows(p, "Classes") {
		documented = append(documented, plain(row[0]))
	}
	slices.Sort(classes)
	slices.Sort(documented)
	if diff := cmp.Diff(classes, slices.Compact(documented)); diff != "" {
		t.Errorf("docs/holds.md and internal/hold differ on the classes (-code +page):\n%s", diff)
	}
	var levels, want []string
	for _, level := range constantsOf(t, "internal/hold/hold.go", "Level") {
		want = append(want, level.value)
	}
	for _, row := range tableRows(p, "Levels") {
		levels = append(levels, plain(row[0]))
	}
	if diff := cmp.Diff(want, levels); diff != "" {
		t.Errorf("docs/holds.md and internal/hold differ on the levels (-code +page):\n%s", diff)
	}
}

func TestEveryKindIsDocumentedWithItsClass(t *testing.T) {
	t.Parallel()
	want, documented := map[string]string{}, map[string]string{}
	for _, k := range providers.Kinds() {
		v := lane.Judge(&providers.Error{Kind: k}, time.Now(), func(outcome.Class) (int, time.Time, error) { return 1, time.Now(), nil })
		want[k.String()] = string(v.Class)
	}
	for _, row := range tableRows(readPage(t, "docs/providers.md"), "Kinds") {
		documented[plain(row[0])] = codeSpan.FindStringSubmatch(row[2])[1]
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/providers.md and internal/outcome/outcome.go differ (-code +page):\n%s", diff)
	}
}
