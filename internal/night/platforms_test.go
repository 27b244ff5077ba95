package night_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/internal/night"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/source/contacts"
	"rollcall/internal/source/sqldb"
	"rollcall/internal/sqltest"
	"rollcall/providers/dingtalk"
)

// unpaced is a pace without a limit.
type unpaced struct{}

func (unpaced) Wait(context.Context, string) error { return nil }

// listed is a source of the contacts of a platform, on which most members are behind so
// many others that they are on the last page.
func listed(t *testing.T, members []member, timeout time.Duration, spec contacts.Spec, faults ...sandbox.Fault) source.Source {
	t.Helper()
	org := sandbox.Organisation{
		Name: organisation, Apps: []sandbox.App{{Key: "ding-lakeside", Secret: "sesame"}},
		Departments: []sandbox.Department{{ID: 7, Name: "Class 1"}, {ID: 9, Name: "Club"}},
	}
	for i := range 95 {
		org.Employees = append(org.Employees, sandbox.Employee{UserID: fmt.Sprintf("other%d", i), Name: "other", Departments: []int64{7}})
	}
	for _, m := range members {
		org.Employees = append(org.Employees, sandbox.Employee{UserID: m.user, Name: m.name, Title: "student", Departments: []int64{7}})
	}
	windows := map[string][]sandbox.Window{}
	for _, api := range []string{sandbox.APIDepartment, sandbox.APIDepartments, sandbox.APIDepartmentIDs, sandbox.APIUsers, sandbox.APIUserIDs} {
		windows[api] = []sandbox.Window{}
	}
	box, err := sandbox.New(sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{org}}, Limits: sandbox.Limits{Windows: windows}})
	if err == nil {
		_, err = box.Arm(faults...)
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: tenant, AppKey: "ding-lakeside", AppSecret: secret.New("sesame"), API: server.URL, OAPI: server.URL, Timeout: timeout, Quick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close(); server.Close(); client.Close() })
	s, err := contacts.New(spec, client, unpaced{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func contactsOrigin(*testing.T) origin {
	return origin{
		rule: func(t *testing.T, r *rig) night.Rule {
			return r.named(t, `{columns: {person: userid}, filter: [{column: title, in: [student]}], template: "{{.name}}", chats: {of: departments, map: {Class 1: chat1}}}`)
		},
		good: func(t *testing.T, _ int, members []member) source.Source {
			return listed(t, members, callTimeout, contacts.Spec{})
		},
		failures: contactsFailures(),
	}
}

func contactsFailures() []failure {
	before, after := pupils()
	with := func(f sandbox.Fault) func(*testing.T) source.Source {
		return func(t *testing.T) source.Source { return listed(t, after, callTimeout, contacts.Spec{}, f) }
	}
	later := map[string]string{"Retry-After": "3600"} // longer than a reading waits
	return []failure{
		{ways()[0], string(source.Down), "502", with(sandbox.Fault{API: sandbox.APIUsers, Kind: sandbox.FaultOutage, Headers: later})},
		{ways()[1], string(source.Slow), "DingTalk's contacts", func(t *testing.T) source.Source {
			return listed(t, after, 200*time.Millisecond, contacts.Spec{}, sandbox.Fault{API: sandbox.APIUsers, Kind: sandbox.FaultHang})
		}},
		{ways()[2], string(source.Malformed), "DingTalk's contacts", with(sandbox.Fault{API: sandbox.APIUsers, Kind: sandbox.FaultTruncated, Headers: later})},
		{ways()[3], night.GuardIncomplete, "15 of 115 people are not in the list", with(sandbox.Fault{API: sandbox.APIUsers, Department: "7", Kind: sandbox.FaultLostPage})},
		{ways()[4], night.GuardIncomplete, "is refused", with(sandbox.Fault{API: sandbox.APIUsers, Department: "9", Kind: sandbox.FaultAnswer, Code: "50004"})},
		{ways()[5], string(source.Malformed), "DingTalk's contacts", with(sandbox.Fault{
			API: sandbox.APIUsers, Kind: sandbox.FaultOddBody, Body: `{"errcode":0,"result":{"has_more":false,"list":[{"userid":5}]}}`,
		})},
		{ways()[6], string(source.Refused), "60011", with(sandbox.Fault{API: sandbox.APIUsers, Kind: sandbox.FaultAnswer, Code: "60011"})},
		{ways()[7], night.GuardOlder, "again that of the night of", func(t *testing.T) source.Source {
			return listed(t, before, callTimeout, contacts.Spec{})
		}},
		{ways()[8], string(source.Empty), "no person", func(t *testing.T) source.Source {
			return listed(t, after, callTimeout, contacts.Spec{Departments: []int64{9}})
		}},
	}
}

// database is a server with the table roster.
type database struct {
	*sqltest.Server

	engine sqldb.Engine
}

const sqlPassword = "pass-of-roster"

func postgreSQLOrigin(t *testing.T) origin {
	d := &database{Server: sqltest.PostgreSQL(t), engine: sqldb.PostgreSQL}
	d.Exec(t, "CREATE ROLE roster LOGIN PASSWORD '"+sqlPassword+"'")
	return d.origin(t)
}

func mariaDBOrigin(t *testing.T) origin {
	d := &database{Server: sqltest.MariaDB(t), engine: sqldb.MySQL}
	d.Exec(t, "CREATE USER roster IDENTIFIED BY '"+sqlPassword+"'")
	return d.origin(t)
}

func (d *database) origin(t *testing.T) origin {
	d.Exec(t, "CREATE TABLE roster (chat_id varchar(20), user_id varchar(20), nickname varchar(50))", "CREATE TABLE salaries (user_id varchar(20))",
		"GRANT SELECT ON roster TO roster")
	return origin{
		good: func(t *testing.T, _ int, members []member) source.Source {
			d.fill(t, members)
			return d.selects(t, allRows)
		},
		failures: sqlFailures(d),
	}
}

// fill replaces the rows of the roster.
func (d *database) fill(t *testing.T, members []member) {
	t.Helper()
	var values []string
	for _, m := range members {
		values = append(values, fmt.Sprintf("('%s', '%s', '%s')", m.chat, m.user, m.name))
	}
	d.Exec(t, "DELETE FROM roster", "INSERT INTO roster VALUES "+strings.Join(values, ", "))
}

const allRows = "SELECT chat_id, user_id, nickname FROM roster ORDER BY user_id"

func (d *database) selects(t *testing.T, query string, change ...func(*sqldb.Spec)) source.Source {
	t.Helper()
	spec := sqldb.Spec{Engine: d.engine, DSN: secret.New(d.DSN("roster", sqlPassword, sqltest.Database, "")), Query: query, Timeout: callTimeout}
	for _, c := range change {
		c(&spec)
	}
	s, err := sqldb.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pick returns the text for the engine.
func (d *database) pick(postgresql, mariadb string) string {
	if d.engine == sqldb.PostgreSQL {
		return postgresql
	}
	return mariadb
}

// port lets the source connect to another port of this machine.
func (d *database) port(port string) func(*sqldb.Spec) {
	return func(s *sqldb.Spec) { s.DSN = secret.New(strings.Replace(s.DSN.Reveal(), ":"+d.Port, ":"+port, 1)) }
}

func sqlFailures(d *database) []failure {
	before, after := pupils()
	query := func(query func() string, change ...func(*sqldb.Spec)) func(*testing.T) source.Source {
		return func(t *testing.T) source.Source { return d.selects(t, query(), change...) }
	}
	text := func(text string) func() string { return func() string { return text } }
	return []failure{
		{ways()[0], string(source.Down), "connection refused", func(t *testing.T) source.Source {
			return d.selects(t, allRows, d.port(unused(t)))
		}},
		{ways()[1], string(source.Slow), "timeout", query(func() string {
			return d.pick("SELECT pg_sleep(60)::text AS user_id", "SELECT sleep(60) AS user_id FROM roster")
		}, func(s *sqldb.Spec) { s.Timeout = 200 * time.Millisecond })},
		{ways()[2], string(source.Down), "", func(t *testing.T) source.Source {
			const many = "SELECT a.chat_id, a.user_id, a.nickname FROM roster a, roster b, roster c, roster d"
			return d.selects(t, many, d.port(d.cut(t)))
		}},
		// MariaDB cuts a result without notice. PostgreSQL has nothing like it: there the
		// query returns more rows where it is counted.
		{ways()[3], night.GuardIncomplete, "12 rows of the 20", func(t *testing.T) source.Source {
			d.fill(t, after)
			return d.selects(t, d.pick("SELECT chat_id, user_id, nickname FROM roster WHERE length(user_id) = 3 AND user_id < 'u2' OR user_id IN ('u1', 'u2') OR current_query() LIKE 'SELECT count%'", allRows),
				func(s *sqldb.Spec) {
					s.DSN = secret.New(d.DSN("roster", sqlPassword, sqltest.Database, d.pick("", "sql_select_limit=12")))
				})
		}},
		{ways()[5], string(source.Malformed), "surname", query(text("SELECT user_id, surname FROM roster"))},
		{ways()[6], string(source.Refused), "salaries", query(text("SELECT user_id FROM salaries"))},
		{ways()[7], night.GuardOlder, "again that of the night of", func(t *testing.T) source.Source {
			d.fill(t, before)
			return d.selects(t, allRows)
		}},
		{ways()[8], string(source.Empty), "no row", query(text("SELECT chat_id, user_id, nickname FROM roster WHERE chat_id = 'none'"))},
	}
}

// unused returns a port on which no one listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	return port
}

// cut returns a port behind which the database drops the connection in the middle of a
// large result.
func (d *database) cut(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", "127.0.0.1:"+d.Port)
			if err == nil {
				go func() { _, _ = io.Copy(server, client) }() // ends with the connections
				_, _ = io.CopyN(client, server, 200_000)
				_ = server.Close()
			}
			_ = client.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
