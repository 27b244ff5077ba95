package rollcall_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
)

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
	sections := []string{
		"Top level", "`redis`", "`log`", "`organisations[]`", "`organisations[].tenants[]`",
		"`organisations[].tenants[].dingtalk`", "`organisations[].tenants[].classin`",
	}
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
		for field := range of.Fields() {
			if name := field.Tag.Get("yaml"); name != "-" {
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
