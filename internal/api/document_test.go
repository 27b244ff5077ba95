package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"

	"rollcall/internal/api"
	"rollcall/internal/kinds"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
)

var update = flag.Bool("update", false, "write docs/openapi.json and docs/api-reference.md")

const (
	documentFile  = "../../docs/openapi.json"
	referenceFile = "../../docs/api-reference.md"
	// releasedFile is the document of the last version. It is replaced when a version is
	// released, and not by -update.
	releasedFile = "testdata/released.json"
)

func document(t *testing.T) []byte {
	t.Helper()
	a := api.New(api.Config{})
	defer a.Close()
	return a.Document()
}

// generated compares a file with what the code makes, or writes it.
func generated(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the code makes; make update writes it (-code +file):\n%s", path, diff)
	}
}

func TestTheDocumentIsInTheRepositoryAndServed(t *testing.T) {
	t.Parallel()
	generated(t, documentFile, document(t))
	r := newRig(t, redistest.One(t), options{})
	served := r.do(call{method: http.MethodGet, path: "/v1/openapi.json", odd: true})
	if !bytes.Equal(served.body, document(t)) || served.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s", served.Status, served.Header.Get("Content-Type"))
	}
}

func TestTheDocumentIsValid(t *testing.T) {
	t.Parallel()
	v, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		for _, f := range faults {
			t.Errorf("%s: %s %v", f.Message, f.Reason, f.SchemaValidationErrors)
		}
	}
}

// breaking counts the changes between two documents that break clients.
func breaking(t *testing.T, before, after []byte) (n int, what []string) {
	t.Helper()
	old, err := libopenapi.NewDocument(before)
	if err != nil {
		t.Fatal(err)
	}
	now, err := libopenapi.NewDocument(after)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := libopenapi.CompareDocuments(old, now)
	if err != nil {
		t.Fatal(err)
	}
	if changes == nil {
		return 0, nil
	}
	for _, c := range changes.GetAllChanges() {
		if c.Breaking {
			what = append(what, c.Property+": "+c.Original+" -> "+c.New)
		}
	}
	return changes.TotalBreakingChanges(), what
}

func TestNoChangeBreaksClientsOfTheReleasedDocument(t *testing.T) {
	t.Parallel()
	released, err := os.ReadFile(releasedFile)
	if err != nil {
		t.Fatal(err)
	}
	if n, what := breaking(t, released, document(t)); n != 0 {
		t.Errorf("%d changes break clients: %s", n, strings.Join(what, "; "))
	}
	// The same check finds such changes.
	for name, change := range map[string][2]string{
		"a path is removed":     {`"/v1/quota"`, `"/v1/quotas"`},
		"a property is renamed": {`"task_id"`, `"task"`},
		"a state is removed":    {`"paused",`, ``},
		"a type is changed":     {`"maximum": 1000000,`, `"maximum": 10,`},
	} {
		changed := bytes.ReplaceAll(released, []byte(change[0]), []byte(change[1]))
		if bytes.Equal(changed, released) {
			t.Fatalf("%s: the document does not hold %s", name, change[0])
		}
		if n, _ := breaking(t, released, changed); n == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestTheRowOfTheDocumentHasTheColumnsOfFiles(t *testing.T) {
	t.Parallel()
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(document(t), &doc); err != nil { //nolint:musttag // the names are those of the document
		t.Fatal(err)
	}
	want := roster.CommonColumns()
	for _, kind := range kinds.Names() {
		want = append(want, roster.Columns(kind)...)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for name := range doc.Components.Schemas["Row"].Properties {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryTypeOfProblemHasAPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	source, err := os.ReadFile("../problem/kinds.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(source)) {
		_, rest, ok := strings.Cut(line, "= \"")
		name, _, quoted := strings.Cut(rest, "\"")
		if !ok || !quoted {
			continue
		}
		seen++
		resp, err := http.Get(r.url + "/v1/problems/" + name)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(page), "**To do:** ") || !strings.Contains(string(page), name) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, page)
		}
	}
	if seen < 20 {
		t.Errorf("%d types were found", seen)
	}
}
