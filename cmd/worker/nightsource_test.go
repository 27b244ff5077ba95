package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/config"
	"rollcall/internal/demo"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/source"
)

const sourcesConfig = `redis: {url: %q}
http: {listen: "off"}
organisations:
  - name: lakeside
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}}
schedules:
  - {name: files, cron: 37 2 * * *, source: {files: {path: "people-*.csv", settle: 1ms, done: .done, max_age: 24h, encoding: gb18030}}}
  - {name: https, cron: 37 2 * * *, source: {https: {url: {env: URL}, bearer: {env: TOKEN}, ca: ca.pem}}}
  - {name: oneroster, cron: 37 2 * * *, source: {oneroster: {path: bundle, settle: 1ms}}}
  - {name: sql, cron: 37 2 * * *, source: {sql: {engine: postgresql, dsn: {env: DSN}, query: SELECT 1 AS user_id}}}
  - {name: contacts, cron: 37 2 * * *, source: {contacts: {tenant: lakeside-dingtalk, exclude: ["77"]}}}
`

var bundle = map[string]string{
	"manifest.csv": "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.users,bulk\nfile.academicSessions,absent\nfile.categories,absent\n" +
		"file.classes,absent\nfile.classResources,absent\nfile.courses,absent\nfile.courseResources,absent\nfile.demographics,absent\n" +
		"file.enrollments,absent\nfile.lineItems,absent\nfile.orgs,absent\nfile.resources,absent\nfile.results,absent\n",
	"users.csv": "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password\n" +
		"u1,,,true,o1,student,huang,,勇,黄,,S1,,,,,07,\n",
}

// Each source of a configuration becomes one that reads.
func TestTheSourcesOfAConfigurationAreRead(t *testing.T) { //nolint:tparallel // the subtests share what ends with it
	t.Parallel()
	dir := t.TempDir()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer roster-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, "user_id,name\nu1,黄勇\n")
	}))
	defer web.Close()
	platforms, err := sandbox.New(sandbox.Config{World: demo.World(testStart), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer platforms.Close()
	listening := httptest.NewServer(platforms)
	defer listening.Close()
	writeFile(t, dir, "people-1.csv", "user_id,name\nu1,\xbb\xc6\xd3\xc2\n")
	writeFile(t, dir, "people-1.csv.done", "")
	writeFile(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	if err := os.Mkdir(filepath.Join(dir, "bundle"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range bundle {
		writeFile(t, filepath.Join(dir, "bundle"), name, content)
	}
	secrets := map[string]string{
		"APP_SECRET": demo.AppSecret, "URL": web.URL + "/roster.csv?key=in-the-url", "TOKEN": "roster-token",
		"DSN": "postgres://rollcall:in-the-dsn@127.0.0.1:1/school?sslmode=disable",
	}
	cfg, err := config.Parse(filepath.Join(dir, "rollcall.yaml"), fmt.Appendf(nil, sourcesConfig, redistest.Mini(t).URL(), listening.URL),
		func(name string) string { return secrets[name] }, judgeNights)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorker(t.Context(), cfg, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, s := range cfg.Schedules {
		t.Run(s.Name, func(t *testing.T) {
			from, err := w.sourceOf(s)
			if err != nil {
				t.Fatal(err)
			}
			rows := 0
			var columns, first []string
			reading, err := from.Read(t.Context(), func(names []string, r source.Record) error {
				if rows++; rows == 1 {
					columns, first = names, r.Fields
				}
				return nil
			})
			text := strings.Join(columns, ",") + " " + strings.Join(first, ",")
			if fault, ok := errors.AsType[*source.Error](err); s.Name == "sql" && ok && fault.Cause == source.Down {
				return // there is no database in this test: package sqldb has one
			}
			if err != nil || !reading.Complete || rows == 0 {
				t.Fatalf("%d rows of %+v, %v", rows, reading, err)
			}
			want := map[string]string{"files": "黄勇", "https": "黄勇", "oneroster": "u1", "contacts": "user"}[s.Name]
			if !strings.Contains(text, want) {
				t.Errorf("read %q, want %q in it", text, want)
			}
			if what := describeSource(s); !strings.HasPrefix(what, s.Name) || strings.Contains(what, "in-the-") {
				t.Errorf("described as %q", what)
			}
		})
	}
}

const wrongSources = `redis: {url: redis://127.0.0.1:6379}
organisations:
  - name: lakeside
    tenants:
      - {name: lakeside-dt, dingtalk: {api: "https://api.dingtalk.io", oapi: "https://oapi.dingtalk.io", app_key: a, app_secret: {env: S}}}
schedules:
  - {name: a, cron: 37 2 * * *, source: {files: {path: x.csv, settle: 2h, encoding: latin9}}}
  - {name: b, cron: 37 2 * * *, source: {https: {url: {env: HTTP}, bearer: {env: S}, username: u}}}
  - {name: c, cron: 37 2 * * *, source: {sql: {engine: mysql, dsn: {env: S}, query: DELETE FROM roster}}}
  - {name: d, cron: 37 2 * * *, source: {contacts: {tenant: lakeside-dt, departments: ["7"], exclude: ["7"]}}}
  - name: e
    cron: 37 2 * * *
    source: {files: {path: x.csv}, tenant: lakeside-dt}
    names:
      template: "{{.name}"
      chats:
        colum: chat
  - name: f
    cron: 37 2 * * *
    source: {files: {path: x.csv}, tenant: lakeside-dt}
    names:
      chats: {column: chat}
      max: 3
      template: "{{.name}}"
  - name: g
    cron: 37 2 * * *
    source: {files: {path: x.csv}, tenant: lakeside-dt}
    names:
      chats: {column: chat}
      template: "{{.name}}"
      examples:
        - {person: {name: 黄勇}, nickname: 黄勇}
        - {person: {name: 王芳}, nickname: 黄勇}
`

// What packages source, sqldb, contacts and naming refuse is reported at its line.
func TestProblemsOfSourcesAndRulesHaveTheirLines(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("x.yaml", []byte(wrongSources), func(name string) string {
		return map[string]string{"S": "secret-text", "HTTP": "http://roster.example.edu/secret-text"}[name]
	}, judgeNights)
	wrong, ok := errors.AsType[*config.ProblemsError](err)
	if !ok {
		t.Fatalf("Parse returns %v", err)
	}
	for _, want := range []string{
		"x.yaml:7: schedule a: source.files.settle is wrong: 2h0m0s is not between 0 and 1h",
		"x.yaml:7: schedule a: source.files.encoding is wrong: ",
		"x.yaml:8: schedule b: source.https.url is wrong: plain http to roster.example.edu",
		"x.yaml:8: schedule b: source.https.bearer is wrong: a user name or password is given too",
		"x.yaml:9: schedule c: source.sql.query begins with \"DELETE\"",
		"x.yaml:10: schedule d: source.contacts is wrong: department 7 is both read and excluded",
		"x.yaml:17: schedule e: names is wrong: ",
		"x.yaml:23: schedule f: names.max is 3: must be 12 to",
		"x.yaml:33: schedule g: names.examples is wrong: example 2: the rule gives \"王芳\", not \"黄勇\"",
	} {
		found := false
		for _, line := range wrong.Lines() {
			found = found || strings.HasPrefix(line, want)
		}
		if !found {
			t.Errorf("no line %q", want)
		}
	}
	if text := wrong.Error(); strings.Contains(text, "secret-text") || t.Failed() {
		t.Errorf("the problems are:\n%s", text)
	}
}

// The schedules that the guides show are valid, with their examples.
func TestTheSchedulesOfTheGuidesAreValid(t *testing.T) {
	t.Parallel()
	const tenants = `redis: {url: redis://127.0.0.1:6379}
organisations:
  - name: lakeside
    tenants:
      - {name: lakeside-dingtalk, dingtalk: {api: "https://api.dingtalk.io", oapi: "https://oapi.dingtalk.io", app_key: a, app_secret: {env: S}}}
      - {name: riverside-dingtalk, dingtalk: {api: "https://api.dingtalk.io", oapi: "https://oapi.dingtalk.io", app_key: b, app_secret: {env: S}}}
`
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, page := range []string{"nightly.md", "nightly.zh-CN.md", "sources.md"} {
		content, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(content), -1)
		if len(blocks) < 2 {
			t.Errorf("%s shows %d parts of a configuration", page, len(blocks))
		}
		first := ""
		for _, b := range blocks {
			text := b[1]
			if strings.HasPrefix(text, "   ") { // of a list
				text = strings.ReplaceAll("\n"+text, "\n   ", "\n")
			}
			text = strings.TrimSpace(text)
			switch {
			case strings.HasPrefix(text, "refresh:"):
				text = first + "\n    " + text
			case strings.HasPrefix(text, "robots:"):
				text = first + "\n" + text
			case !strings.HasPrefix(text, "schedules:"):
				text = "schedules:\n  - name: nightly\n    cron: 37 2 * * *\n    " + strings.ReplaceAll(text, "\n", "\n    ")
			case first == "":
				first = text
			}
			secrets := func(name string) string {
				return map[string]string{
					"DSN": "postgres://rollcall:s@127.0.0.1/school", "ROBOT": "https://oapi.dingtalk.com/robot/send?access_token=a", "SIGN": "SECa", "S": "s",
				}[name]
			}
			text = strings.NewReplacer(
				"{file: /etc/rollcall/roster.dsn}", "{env: DSN}", "{file: robots/teachers}", "{env: ROBOT}", "{file: robots/teachers-sign}", "{env: SIGN}",
			).Replace(text)
			if _, err := config.Parse(page, []byte(tenants+text), secrets, judgeNights); err != nil {
				t.Errorf("%v in:\n%s", err, text)
			}
		}
	}
}
