package night_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/night"
	"rollcall/internal/secret"
	"rollcall/internal/source"
)

const soon = time.Millisecond // for a file to settle

// roster writes members as CSV.
func rosterOf(members []member) string {
	var text strings.Builder
	text.WriteString("chat_id,user_id,nickname\n")
	for _, m := range members {
		_, _ = fmt.Fprintf(&text, "%s,%s,%s\n", m.chat, m.user, m.name)
	}
	return text.String()
}

// halfOf cuts a text within a row.
func halfOf(text string) string {
	half := text[:len(text)/2]
	return half[:strings.LastIndexByte(half, ',')]
}

// place writes files at a path of a new directory, of a time, and returns the path.
func place(t *testing.T, name string, at time.Time, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range files {
		path := filepath.Join(dir, file)
		err := os.MkdirAll(filepath.Dir(path), 0o750)
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

// opener opens a source at a path.
type opener func(t *testing.T, p source.Place) source.Source

func openFiles(t *testing.T, p source.Place) source.Source {
	t.Helper()
	s, err := source.NewFiles(source.FilesSpec{Place: p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// written is a source of a new file.
func written(t *testing.T, n int, content string) source.Source {
	t.Helper()
	return openFiles(t, source.Place{Path: place(t, "roster.csv", nightOf(n), map[string]string{"roster.csv": content}), Settle: soon})
}

func filesOrigin(*testing.T) origin {
	return origin{
		good:     func(t *testing.T, n int, members []member) source.Source { return written(t, n, rosterOf(members)) },
		failures: fileFailures(openFiles),
	}
}

// placeFailures are those of every source that is a file or a directory of the name given.
func placeFailures(open opener, name string, good func() map[string]string) []failure {
	at := func(t *testing.T, path string) source.Source { return open(t, source.Place{Path: path, Settle: soon}) }
	return []failure{
		{ways()[0], string(source.Down), "not a directory", func(t *testing.T) source.Source { // the share is no directory any more
			return at(t, filepath.Join(place(t, "share", nightOf(9), map[string]string{"share": "x"}), name))
		}},
		{ways()[1], string(source.NotReady), "done-marker", func(t *testing.T) source.Source {
			return open(t, source.Place{Path: place(t, name, nightOf(9), good()), Settle: soon, Done: ".done"})
		}},
		{ways()[6], string(source.Refused), "no permission", func(t *testing.T) source.Source {
			path := place(t, name, nightOf(9), good())
			if err := os.Chmod(path, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
			return asNobody{t, at(t, path)}
		}},
	}
}

func fileFailures(open opener) []failure {
	before, after := pupils()
	file := func(text string) func(*testing.T) source.Source {
		return func(t *testing.T) source.Source { return written(t, 9, text) }
	}
	return append(
		placeFailures(open, "roster.csv", func() map[string]string { return map[string]string{"roster.csv": rosterOf(after)} }),
		failure{ways()[2], string(source.Malformed), "line end", file(halfOf(rosterOf(after)))},
		failure{ways()[3], night.GuardShrunk, "8 of 20 members", file(rosterOf(after[:12]))},
		failure{ways()[5], string(source.Malformed), "class", file("class,who,name\nchat1,u1,a\n")},
		failure{ways()[7], night.GuardOlder, "the last night's was of", func(t *testing.T) source.Source { return written(t, 1, rosterOf(before)) }},
		failure{ways()[8], string(source.Empty), "is empty", file("")},
	)
}

// served is a source of a server.
func served(t *testing.T, handle http.HandlerFunc) source.Source {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return downloading(t, server.URL)
}

func downloading(t *testing.T, url string) source.Source {
	t.Helper()
	s, err := source.NewHTTPS(source.HTTPSSpec{URL: secret.New(url + "/roster.csv"), Timeout: callTimeout})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sending serves a content that was modified on a night.
func sending(n int, content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", nightOf(n).Format(http.TimeFormat))
		_, _ = io.WriteString(w, content)
	}
}

func httpsOrigin(*testing.T) origin {
	return origin{
		good: func(t *testing.T, n int, members []member) source.Source {
			return served(t, sending(n, rosterOf(members)))
		},
		failures: httpsFailures(),
	}
}

func httpsFailures() []failure {
	before, after := pupils()
	from := func(handle http.HandlerFunc) func(*testing.T) source.Source {
		return func(t *testing.T) source.Source { return served(t, handle) }
	}
	return []failure{
		{ways()[0], string(source.Down), "connection refused", func(t *testing.T) source.Source {
			server := httptest.NewServer(http.NotFoundHandler())
			server.Close()
			return downloading(t, server.URL)
		}},
		{ways()[1], string(source.Slow), "time limit", func(t *testing.T) source.Source {
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			t.Cleanup(server.Close)
			s, err := source.NewHTTPS(source.HTTPSSpec{URL: secret.New(server.URL), Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}},
		{ways()[2], string(source.Down), "safe to retry", from(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(rosterOf(after))))
			sending(9, halfOf(rosterOf(after)))(w, r)
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			panic(http.ErrAbortHandler)
		})},
		{ways()[3], night.GuardShrunk, "8 of 20 members", from(sending(9, rosterOf(after[:12])))},
		{ways()[5], string(source.Malformed), "class", from(sending(9, "class,who,name\nchat1,u1,a\n"))},
		{ways()[6], string(source.Refused), "403", from(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })},
		{ways()[7], night.GuardOlder, "the last night's was of", from(sending(1, rosterOf(before)))},
		{ways()[8], string(source.Empty), "empty", from(sending(9, ""))},
	}
}

// bundle is a OneRoster bundle of members.
func bundle(members []member) map[string]string {
	files := map[string]string{
		"bundle/manifest.csv": "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.users,bulk\nfile.orgs,bulk\nfile.classes,bulk\n" +
			"file.enrollments,bulk\nfile.academicSessions,absent\nfile.results,absent\n",
		"bundle/orgs.csv": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\no1,,,Lakeside,school,,\n",
		"bundle/classes.csv": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods\n" +
			"c1,,,Class 1,07,k1,,homeroom,,o1,,,,\n",
	}
	users := "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password\n"
	enrolled := "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n"
	var more, enrolments strings.Builder
	for _, m := range members {
		fmt.Fprintf(&more, "%s,,,true,o1,student,%[1]s,,%s,x,,%[1]s,,,,,07,\n", m.user, m.name)
		fmt.Fprintf(&enrolments, "e%s,,,c1,o1,%[1]s,student,,,\n", m.user)
	}
	files["bundle/users.csv"], files["bundle/enrollments.csv"] = users+more.String(), enrolled+enrolments.String()
	return files
}

func openBundle(t *testing.T, p source.Place) source.Source {
	t.Helper()
	s, err := source.NewOneRoster(source.OneRosterSpec{Place: p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exported is a source of a new bundle.
func exported(t *testing.T, n int, files map[string]string) source.Source {
	t.Helper()
	return openBundle(t, source.Place{Path: place(t, "bundle", nightOf(n), files), Settle: soon})
}

func oneRosterOrigin(*testing.T) origin {
	return origin{
		rule: func(t *testing.T, r *rig) night.Rule {
			return r.named(t, `{columns: {person: sourcedId}, template: "{{.givenName}}", chats: {of: classes, map: {Class 1: chat1}}}`)
		},
		good:     func(t *testing.T, n int, members []member) source.Source { return exported(t, n, bundle(members)) },
		failures: oneRosterFailures(openBundle),
	}
}

// named is a rule of names.
func (r *rig) named(t *testing.T, yaml string) night.Rule {
	return night.Names{Rule: rule(t, yaml), Tenant: tenant, Organisation: organisation, Ledger: r.ledger}
}

func oneRosterFailures(open opener) []failure {
	before, after := pupils()
	with := func(change func(files map[string]string)) func(*testing.T) source.Source {
		return func(t *testing.T) source.Source {
			files := bundle(after)
			change(files)
			return exported(t, 9, files)
		}
	}
	return append(
		placeFailures(open, "bundle", func() map[string]string { return bundle(after) }),
		failure{ways()[2], string(source.Malformed), "users.csv", with(func(files map[string]string) {
			files["bundle/users.csv"] = halfOf(files["bundle/users.csv"])
		})},
		failure{ways()[3], night.GuardIncomplete, "enrollments.csv", with(func(files map[string]string) {
			files["bundle/users.csv"] = bundle(after[:12])["bundle/users.csv"]
		})},
		failure{ways()[5], string(source.Malformed), "sourcedId", with(func(files map[string]string) {
			files["bundle/users.csv"] = strings.Replace(files["bundle/users.csv"], "sourcedId", "id", 1)
		})},
		failure{ways()[7], night.GuardOlder, "the last night's was of", func(t *testing.T) source.Source { return exported(t, 1, bundle(before)) }},
		failure{ways()[8], string(source.Empty), "users.csv", with(func(files map[string]string) {
			for _, name := range []string{"bundle/users.csv", "bundle/enrollments.csv"} {
				files[name] = bundle(nil)[name]
			}
		})},
	)
}
