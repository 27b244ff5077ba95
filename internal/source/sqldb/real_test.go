package sqldb_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/source/sqldb"
	"rollcall/internal/sqltest"
)

// database is a server with a table of people.
type database struct {
	*sqltest.Server

	engine sqldb.Engine
}

// dsn is that of a user who may read the table people, and nothing else.
func (d *database) dsn(params string) string {
	return d.DSN("roster", password, sqltest.Database, params)
}

func (d *database) source(t *testing.T, query string, change ...func(*sqldb.Spec)) *sqldb.Source {
	t.Helper()
	spec := sqldb.Spec{Engine: d.engine, DSN: secret.New(d.dsn("")), Query: query, Timeout: time.Minute}
	for _, c := range change {
		c(&spec)
	}
	return open(t, spec)
}

// pick returns the text for the engine.
func (d *database) pick(postgresql, mariadb string) string {
	if d.engine == sqldb.PostgreSQL {
		return postgresql
	}
	return mariadb
}

// onEach runs parts in parallel on a real PostgreSQL and on a real MariaDB.
func onEach(t *testing.T, parts map[string]func(t *testing.T, d *database)) {
	t.Helper()
	if testing.Short() {
		t.Skip("a database takes seconds to start: make test-long")
	}
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		d := &database{Server: sqltest.PostgreSQL(t), engine: sqldb.PostgreSQL}
		d.Exec(t, "CREATE ROLE roster LOGIN PASSWORD '"+password+"'")
		run(t, d, parts)
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		d := &database{Server: sqltest.MariaDB(t), engine: sqldb.MySQL}
		d.Exec(t, "CREATE USER roster IDENTIFIED BY '"+password+"'")
		run(t, d, parts)
	})
}

func run(t *testing.T, d *database, parts map[string]func(t *testing.T, d *database)) {
	t.Helper()
	d.Exec(t, "CREATE TABLE people (id int PRIMARY KEY, name varchar(50), class varchar(50), score decimal(20,5), born date, pupil boolean)",
		"INSERT INTO people VALUES (1, '张三', '3-2', 12345678901234.50000, '2015-02-03', true), (2, 'Ann \"A\", B', NULL, -0.5, NULL, false), (3, ' x ', '', 7, '1999-12-31', NULL)",
		"CREATE TABLE salaries (id int)", "CREATE TABLE empty_class (id int, name varchar(50))",
		"GRANT SELECT ON people TO roster", "GRANT SELECT ON empty_class TO roster")
	t.Run("parts", func(t *testing.T) { // so that the server ends after them
		for name, part := range parts {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				part(t, d)
			})
		}
	})
}

func TestADatabaseIsRead(t *testing.T) {
	t.Parallel()
	onEach(t, map[string]func(t *testing.T, d *database){
		"the rows arrive as text, in order":         rowsAsText,
		"the version is that of the content":        versions,
		"nothing is written":                        nothingIsWritten,
		"rows that are added later are not read":    snapshot,
		"a query may end with a comment":            comments,
		"no row":                                    noRow,
		"too many rows":                             tooManyRows,
		"a result that is cut":                      cutResult,
		"half a result":                             halfAResult,
		"a slow query":                              slowQuery,
		"a wrong password":                          wrongPassword,
		"no permission":                             noPermission,
		"a table or database that does not exist":   missing,
		"wrong columns":                             wrongColumns,
		"the receiver of the rows ends the reading": receiverEnds,
		"a row that is too large":                   largeRow,
		"no text":                                   noText,
	})
}

func rowsAsText(t *testing.T, d *database) {
	reading, records, err := read(t, d.source(t, "SELECT id, name, class, score, born, pupil FROM people ORDER BY id"))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := d.pick("true", "1"), d.pick("false", "0")
	want := []source.Record{
		{At: "row 1", Fields: []string{"1", "张三", "3-2", "12345678901234.50000", "2015-02-03", yes}},
		{At: "row 2", Fields: []string{"2", `Ann "A", B`, "", "-0.50000", "", no}},
		{At: "row 3", Fields: []string{"3", " x ", "", "7.00000", "1999-12-31", ""}},
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"id", "name", "class", "score", "born", "pupil"}, reading.Columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if !reading.Complete || reading.Why != "" || reading.Version == "" || !reading.Modified.IsZero() {
		t.Errorf("%+v; want a complete reading with a version", reading)
	}
}

func versions(t *testing.T, d *database) {
	version := func(query string) string {
		t.Helper()
		reading, _, err := read(t, d.source(t, query))
		if err != nil {
			t.Fatal(err)
		}
		return reading.Version
	}
	first := version("SELECT name, class FROM people ORDER BY id")
	if again := version("SELECT name, class FROM people ORDER BY id"); again != first {
		t.Errorf("the same content has the versions %s and %s", first, again)
	}
	for _, other := range []string{
		"SELECT name, class AS klass FROM people ORDER BY id", "SELECT name, class FROM people WHERE id < 3 ORDER BY id",
		"SELECT name, score FROM people ORDER BY id",
	} {
		if version(other) == first {
			t.Errorf("%s has the version of another content", other)
		}
	}
}

func nothingIsWritten(t *testing.T, d *database) {
	d.Exec(t, "CREATE TABLE written (id int)")
	if d.engine == sqldb.PostgreSQL {
		d.Exec(t, "GRANT ALL ON written TO roster",
			"CREATE FUNCTION scribble() RETURNS int LANGUAGE sql AS 'INSERT INTO written VALUES (1) RETURNING id'")
	} else {
		d.Exec(t, "GRANT ALL ON written TO roster", "GRANT EXECUTE ON roster.* TO roster",
			"CREATE FUNCTION scribble() RETURNS int BEGIN INSERT INTO written VALUES (1); RETURN 1; END")
	}
	fails(t, d.source(t, "SELECT id, scribble() AS s FROM people"), source.Malformed, "the query changes data")
	fails(t, d.source(t, "SELECT 1 AS a; INSERT INTO written VALUES (1)"), source.Malformed)
	fails(t, d.source(t, "SELECT 1 AS a) x; COMMIT; INSERT INTO written VALUES (1); SELECT (1"), source.Malformed)
	fails(t, d.source(t, "SELECT id FROM written"), source.Empty)
}

func snapshot(t *testing.T, d *database) {
	d.Exec(t, "CREATE TABLE growing (id int PRIMARY KEY)", "INSERT INTO growing VALUES (1), (2)",
		"GRANT SELECT ON growing TO roster")
	var added sync.Once
	rows := 0
	reading, err := d.source(t, "SELECT id FROM growing ORDER BY id").Read(t.Context(), func([]string, source.Record) error {
		added.Do(func() { d.Exec(t, "INSERT INTO growing VALUES (3)") })
		rows++
		return nil
	})
	if err != nil || !reading.Complete || rows != 2 {
		t.Errorf("%+v, %d rows, %v; want the two rows of the beginning", reading, rows, err)
	}
}

func comments(t *testing.T, d *database) {
	reading, records, err := read(t, d.source(t, "SELECT id FROM people -- all of them ;\n ; \n"))
	if err != nil || !reading.Complete || len(records) != 3 {
		t.Errorf("%+v, %d rows, %v", reading, len(records), err)
	}
}

func noRow(t *testing.T, d *database) {
	fails(t, d.source(t, "SELECT id, name FROM empty_class"), source.Empty, "the query returns no row")
}

func tooManyRows(t *testing.T, d *database) {
	limit := func(n int) func(*sqldb.Spec) { return func(s *sqldb.Spec) { s.Limit = n } }
	fails(t, d.source(t, "SELECT id FROM people", limit(2)), source.TooLarge, "more than 2 rows", "raise the limit")
	if reading, records, err := read(t, d.source(t, "SELECT id FROM people", limit(3))); err != nil || !reading.Complete || len(records) != 3 {
		t.Errorf("%+v, %d rows, %v; want as many as the limit", reading, len(records), err)
	}
}

// MariaDB cuts the results of a user with sql_select_limit without any notice. PostgreSQL
// has nothing like it; there the query returns more rows where it is counted.
func cutResult(t *testing.T, d *database) {
	query := d.pick("SELECT id FROM people WHERE id < 3 OR current_query() LIKE 'SELECT count%'", "SELECT id FROM people")
	reading, records, err := read(t, d.source(t, query, func(s *sqldb.Spec) {
		s.DSN = secret.New(d.dsn(d.pick("", "sql_select_limit=2")))
	}))
	if err != nil || len(records) != 2 || reading.Complete || !strings.Contains(reading.Why, "2 rows of the 3") {
		t.Errorf("%+v, %d rows, %v; want an incomplete reading of two", reading, len(records), err)
	}
}

func halfAResult(t *testing.T, d *database) {
	const half = 200_000
	address := listen(t, func(client net.Conn) {
		server, err := net.Dial("tcp", "127.0.0.1:"+d.Port)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = server.Close() }()
		go func() { _, _ = io.Copy(server, client) }() // ends with the connections
		_, _ = io.CopyN(client, server, half)
		_ = client.Close()
	})
	_, port, _ := net.SplitHostPort(address)
	query := many
	rows := 0
	_, err := d.source(t, query, func(s *sqldb.Spec) {
		s.DSN = secret.New(strings.Replace(d.dsn(""), ":"+d.Port, ":"+port, 1))
	}).Read(t.Context(), func([]string, source.Record) error { rows++; return nil })
	e, ok := errors.AsType[*source.Error](err)
	if !ok || e.Cause != source.Down || rows == 0 {
		t.Errorf("%v after %d rows; want a connection that broke off after some", err, rows)
	}
	hidden(t, err, password)
}

// many selects 59,049 rows.
const many = "SELECT a.id, 'the name of a person' AS name FROM people a, people b, people c, people d, people e, people f, people g, " +
	"people h, people i, people j"

func slowQuery(t *testing.T, d *database) {
	fails(t, d.source(t, d.pick("SELECT pg_sleep(60)::text AS a", "SELECT sleep(60) AS a FROM people"), func(s *sqldb.Spec) {
		s.Timeout = 200 * time.Millisecond
	}), source.Slow, "timeout")
}

func wrongPassword(t *testing.T, d *database) {
	for _, user := range []string{"roster", "stranger"} {
		fails(t, d.source(t, "SELECT id FROM people", func(s *sqldb.Spec) {
			s.DSN = secret.New(d.DSN(user, "another-password", sqltest.Database, ""))
		}), source.Refused, "refuses the user")
	}
}

func noPermission(t *testing.T, d *database) {
	fails(t, d.source(t, "SELECT id FROM salaries"), source.Refused, "salaries", "grant the user SELECT")
}

func missing(t *testing.T, d *database) {
	cause := source.Missing
	if d.engine == sqldb.MySQL {
		cause = source.Refused // it does not say whether there is something that the user may not read
	}
	fails(t, d.source(t, "SELECT id FROM nosuch"), cause, "nosuch")
	fails(t, d.source(t, "SELECT id FROM people", func(s *sqldb.Spec) {
		s.DSN = secret.New(d.DSN("roster", password, "nosuch", ""))
	}), cause)
}

func wrongColumns(t *testing.T, d *database) {
	fails(t, d.source(t, "SELECT id, surname FROM people"), source.Malformed, "surname", "correct the query")
	fails(t, d.source(t, "SELECT id FROM WHERE"), source.Malformed, "correct the query")
	// PostgreSQL accepts equal names in the count of the rows, MariaDB does not.
	fails(t, d.source(t, "SELECT id AS a, name AS a FROM people"), source.Malformed, d.pick("rename one", "correct the query"))
}

func receiverEnds(t *testing.T, d *database) {
	full := errors.New("no more")
	rows := 0
	reading, err := d.source(t, many).Read(t.Context(), func(_ []string, r source.Record) error {
		rows++
		if r.At == "row 10" {
			return fmt.Errorf("row 10: %w", full)
		}
		return nil
	})
	if !errors.Is(err, full) || rows != 10 || reading.Complete {
		t.Errorf("%+v, %v after %d rows; want the receiver's error after ten", reading, err, rows)
	}
}

func largeRow(t *testing.T, d *database) {
	fails(t, d.source(t, "SELECT repeat('x', 1048577) AS a"), source.TooLarge, "row 1", "1048576 bytes")
}

func noText(t *testing.T, d *database) {
	if d.engine == sqldb.PostgreSQL {
		t.Skip("PostgreSQL writes every type as text")
	}
	fails(t, d.source(t, "SELECT id, x'ff00' AS photo FROM people"), source.Malformed, "row 1", `"photo"`)
}
