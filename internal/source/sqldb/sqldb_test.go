package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/secret"
	"rollcall/internal/source"
	"rollcall/internal/source/sqldb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "pa55-of-roster"

// engine writes the DSN of an engine.
type engine struct {
	name sqldb.Engine
	// dsn returns one with a time limit for connections.
	dsn func(address string, seconds int) string
}

func engines() []engine {
	return []engine{
		{sqldb.PostgreSQL, func(address string, seconds int) string {
			return fmt.Sprintf("postgres://roster:%s@%s/roster?sslmode=disable&connect_timeout=%d", password, address, seconds)
		}},
		{sqldb.MySQL, func(address string, seconds int) string {
			return fmt.Sprintf("roster:%s@tcp(%s)/roster?timeout=%ds", password, address, seconds)
		}},
	}
}

func open(t *testing.T, spec sqldb.Spec) *sqldb.Source {
	t.Helper()
	s, err := sqldb.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read reads everything.
func read(t *testing.T, s source.Source) (source.Reading, []source.Record, error) {
	t.Helper()
	var records []source.Record
	reading, err := s.Read(t.Context(), func(_ []string, r source.Record) error {
		records = append(records, r)
		return nil
	})
	return reading, records, err
}

// fails checks that a reading fails with a cause, and that its error names what is wrong
// and no secret.
func fails(t *testing.T, s source.Source, cause source.Cause, words ...string) {
	t.Helper()
	reading, _, err := read(t, s)
	e, ok := errors.AsType[*source.Error](err)
	if !ok || e.Cause != cause || reading.Complete || reading.Columns != nil {
		t.Errorf("%+v, %v; want no reading, and an error of the cause %s", reading, err, cause)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not contain %q: %v", word, err)
		}
	}
	hidden(t, err, password)
}

// hidden checks that no part of an error shows a secret.
func hidden(t *testing.T, err error, secrets ...string) {
	t.Helper()
	var all strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&all, "%v %+v %#v\n", err, err, err)
	}
	for _, word := range secrets {
		if strings.Contains(all.String(), word) {
			t.Errorf("the error shows %q: %s", word, all.String())
		}
	}
}

func TestASpecThatCannotWorkIsRejected(t *testing.T) {
	t.Parallel()
	good := sqldb.Spec{Engine: sqldb.PostgreSQL, DSN: secret.New("postgres://u:pw-secret@127.0.0.1/roster"), Query: "SELECT 1 AS a"}
	for name, row := range map[string]struct {
		change func(*sqldb.Spec)
		want   string
	}{
		"engine":            {func(s *sqldb.Spec) { s.Engine = "oracle" }, `unknown database "oracle"`},
		"no engine":         {func(s *sqldb.Spec) { s.Engine = "" }, "unknown database"},
		"no DSN":            {func(s *sqldb.Spec) { s.DSN = secret.Text{} }, "the DSN is missing"},
		"DSN of another":    {func(s *sqldb.Spec) { s.Engine = sqldb.MySQL }, "the DSN of MySQL cannot be read"},
		"DSN with a port":   {func(s *sqldb.Spec) { s.DSN = secret.New("postgres://u:pw-secret@host:port/x") }, "the DSN of PostgreSQL cannot be read"},
		"DSN with a TLS":    {func(s *sqldb.Spec) { s.DSN, s.Engine = secret.New("u:pw-secret@tcp(h)/x?tls=pw-secret"), sqldb.MySQL }, "DSN of MySQL"},
		"no query":          {func(s *sqldb.Spec) { s.Query = " \n" }, "the query is missing"},
		"another statement": {func(s *sqldb.Spec) { s.Query = "DELETE FROM people" }, "it must be one SELECT"},
		"timeout":           {func(s *sqldb.Spec) { s.Timeout = -1 }, "the timeout is"},
		"short timeout":     {func(s *sqldb.Spec) { s.Timeout = time.Microsecond }, "at least a millisecond"},
		"long timeout":      {func(s *sqldb.Spec) { s.Timeout = 1000 * time.Hour }, "less than 24 days"},
		"limit":             {func(s *sqldb.Spec) { s.Limit = -1 }, "the limit is -1"},
	} {
		spec := good
		row.change(&spec)
		err := spec.Validate()
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want one with %q", name, err, row.want)
		}
		hidden(t, err, "pw-secret")
		if _, err := sqldb.New(spec); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
	for _, query := range []string{"select 1 as a", "WITH x AS (SELECT 1 AS a) SELECT * FROM x;", "(SELECT 1 AS a)", "VALUES (1)"} {
		spec := good
		spec.Query = query
		if err := spec.Validate(); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestAServerThatIsDownFailsTheReading(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(string(e.name), func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(conn net.Conn) { _ = conn.Close() })
			fails(t, open(t, sqldb.Spec{Engine: e.name, DSN: secret.New(e.dsn(address, 15)), Query: "SELECT 1 AS a"}), source.Down)
			closed := closedPort(t)
			fails(t, open(t, sqldb.Spec{Engine: e.name, DSN: secret.New(e.dsn(closed, 15)), Query: "SELECT 1 AS a"}), source.Down,
				"connection refused", "check that the server runs")
		})
	}
}

func TestAServerThatDoesNotAnswerFailsTheReading(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(string(e.name), func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(net.Conn) {})
			fails(t, open(t, sqldb.Spec{Engine: e.name, DSN: secret.New(e.dsn(address, 1)), Query: "SELECT 1 AS a"}), source.Slow, "does not answer")
		})
	}
}

// A reading that the caller gives up is no fault of the source.
func TestACancelledReadingReturnsTheCancellation(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(string(e.name), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			address := listen(t, func(net.Conn) { cancel() })
			s := open(t, sqldb.Spec{Engine: e.name, DSN: secret.New(e.dsn(address, 15)), Query: "SELECT 1 AS a"})
			_, err := s.Read(ctx, func([]string, source.Record) error { return nil })
			if _, judged := errors.AsType[*source.Error](err); judged || !errors.Is(err, context.Canceled) {
				t.Errorf("%v; want the cancellation", err)
			}
		})
	}
}

// A password that was not escaped becomes part of the host; no error shows it.
func TestNoPartOfTheDSNReachesAnError(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		engine sqldb.Engine
		dsn    string
	}{
		{sqldb.PostgreSQL, "postgres://user-x:secret-1/secret-2@host-x/roster-x?connect_timeout=1"},
		{sqldb.PostgreSQL, "postgres://user-x:secret-1@secret-2.invalid/roster-x?connect_timeout=1"},
		{sqldb.PostgreSQL, "host=secret-2.invalid user=user-x password=secret-1 dbname=roster-x connect_timeout=1"},
		{sqldb.MySQL, "user-x:secret-1@tcp(secret-2.invalid:1)/roster-x?timeout=1s"},
		{sqldb.MySQL, "user-x:secret-1@tcp(secret-2"},
		{sqldb.MySQL, "user-x:secret-1@tcp(127.0.0.1:1)/roster-x?secret-2"},
	} {
		s, err := sqldb.New(sqldb.Spec{Engine: row.engine, DSN: secret.New(row.dsn), Query: "SELECT 1 AS a"})
		if err == nil {
			_, _, err = read(t, s)
		}
		if err == nil {
			t.Errorf("%s was read", row.dsn)
		}
		hidden(t, err, "user-x", "secret-1", "secret-2", "host-x", "roster-x")
	}
}

// listen serves connections of the loopback interface until the test ends, and closes
// them then.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			serve(conn)
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	return listener.Addr().String()
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
