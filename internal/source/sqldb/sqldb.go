// Package sqldb reads a roster from a database: the rows of one SELECT, in PostgreSQL,
// MySQL or MariaDB.
//
// It must not know what the columns mean. It changes nothing in the database: it reads in
// a read-only transaction.
package sqldb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/secret"
	"rollcall/internal/source"
)

// The defaults of a [Spec].
const (
	DefaultTimeout = 5 * time.Minute
	DefaultLimit   = 1_000_000
)

const (
	// connectWithin bounds a connection, from the dial to the login.
	connectWithin = 15 * time.Second
	// maxRow bounds the values of a row, in bytes.
	maxRow = 1 << 20
)

// Engine is a kind of database.
type Engine string

// The engines.
const (
	PostgreSQL Engine = "postgresql"
	MySQL      Engine = "mysql" // MariaDB too
)

// String names the engine in messages.
func (e Engine) String() string {
	if e == MySQL {
		return "MySQL or MariaDB"
	}
	return "PostgreSQL"
}

// Spec is what is read, and where.
type Spec struct {
	Engine Engine
	// DSN is the address with the credentials, in the form of the engine's driver:
	//
	//	postgres://user:password@host:5432/database?sslmode=verify-full
	//	user:password@tcp(host:3306)/database?tls=true
	//
	// Without sslmode or tls the connection may be unencrypted. PostgreSQL's driver reads
	// missing parts of a DSN from the environment (PGHOST, PGSSLMODE and others).
	//
	// See https://pkg.go.dev/github.com/jackc/pgx/v5/pgconn#ParseConfig and
	// https://pkg.go.dev/github.com/go-sql-driver/mysql#readme-dsn-data-source-name.
	DSN secret.Text
	// Query is one SELECT. Its columns need distinct names. Rows without an ORDER BY may
	// have another order each time, and so another Version.
	Query string
	// Timeout bounds a statement. Two are run: the query, and a count of its rows. 0:
	// [DefaultTimeout].
	Timeout time.Duration
	// Limit is the largest number of rows. 0: [DefaultLimit].
	Limit int
}

// Validate reports what is wrong with s. It connects to nothing, and its errors contain
// nothing of the DSN.
func (s Spec) Validate() error {
	_, err := s.driver()
	return err
}

// driver checks s and returns the driver of its engine.
func (s Spec) driver() (driver, error) {
	switch {
	case s.Engine != PostgreSQL && s.Engine != MySQL:
		return nil, fmt.Errorf("unknown database %q; use %q, or %q for MySQL and MariaDB", string(s.Engine), string(PostgreSQL), string(MySQL))
	case s.DSN.IsZero():
		return nil, errors.New("the DSN is missing: it names the server, the database and the user")
	case s.Timeout < 0 || s.Timeout > 0 && s.Timeout < time.Millisecond:
		return nil, fmt.Errorf("the timeout is %s; it must be at least a millisecond, or 0 for %s", s.Timeout, DefaultTimeout)
	case s.Timeout > math.MaxInt32*time.Millisecond:
		return nil, fmt.Errorf("the timeout is %s; it must be less than 24 days", s.Timeout)
	case s.Limit < 0:
		return nil, fmt.Errorf("the limit is %d; it must not be negative", s.Limit)
	}
	if err := checkQuery(s.Query); err != nil {
		return nil, err
	}
	if s.Engine == MySQL {
		return newMySQL(s.DSN)
	}
	return newPostgres(s.DSN)
}

// checkQuery finds the mistakes that can be found without a database. The transaction is
// read-only in any case.
func checkQuery(query string) error {
	words := strings.Fields(query)
	if len(words) == 0 {
		return errors.New("the query is missing: write one SELECT")
	}
	switch first := strings.ToUpper(words[0]); {
	case strings.HasPrefix(first, "SELECT"), strings.HasPrefix(first, "WITH"), strings.HasPrefix(first, "("), strings.HasPrefix(first, "VALUES"):
		return nil
	default:
		return fmt.Errorf("the query begins with %q; it must be one SELECT, without a comment before it", words[0])
	}
}

// driver runs statements in one read-only transaction.
type driver interface {
	// run connects, and calls read with a transaction. The transaction and the connection
	// end with read. timeout bounds each statement at the server.
	run(ctx context.Context, timeout time.Duration, read func(transaction) error) error
	// judge returns the cause of an error of the database, and a text that contains
	// nothing of the DSN.
	judge(err error) (cause source.Cause, text string)
}

// transaction is a snapshot of the database.
type transaction interface {
	// query calls columns with the names, and then row for each row. A value of NULL is
	// nil. The values are valid until row returns.
	query(ctx context.Context, query string, columns func([]string) error, row func([][]byte) error) error
}

// Source reads the rows of one query. It is safe for concurrent use.
type Source struct {
	spec   Spec
	driver driver
}

// New returns a Source. It connects to nothing.
func New(spec Spec) (*Source, error) {
	driver, err := spec.driver()
	if err != nil {
		return nil, err
	}
	if spec.Timeout == 0 {
		spec.Timeout = DefaultTimeout
	}
	if spec.Limit == 0 {
		spec.Limit = DefaultLimit
	}
	spec.Query = strings.TrimRight(spec.Query, "; \t\r\n")
	return &Source{spec: spec, driver: driver}, nil
}

// Read counts the rows and then reads them, in one snapshot. NULL is read as an empty
// field. If another number of rows arrives than was counted, the reading is not complete:
// the server or a proxy cut it. MySQL's tables without transactions have no snapshot; rows
// that are added between the two statements have the same effect.
func (s *Source) Read(ctx context.Context, each func(columns []string, r source.Record) error) (source.Reading, error) {
	bounded, cancel := context.WithTimeout(ctx, connectWithin+2*s.spec.Timeout)
	defer cancel()
	r := &reading{each: each, limit: s.spec.Limit, sum: sha256.New()}
	err := s.driver.run(bounded, s.spec.Timeout, func(tx transaction) error {
		counted, err := count(bounded, tx, s.spec.Query)
		switch {
		case err != nil:
			return err
		case counted == 0:
			return source.Errorf(source.Empty, "the query returns no row")
		case counted > s.spec.Limit:
			return tooMany(s.spec.Limit)
		}
		r.counted = counted
		return tx.query(bounded, s.spec.Query, r.header, r.row)
	})
	if err != nil {
		return source.Reading{}, s.failure(ctx, bounded, r, err)
	}
	return r.result(), nil
}

func tooMany(limit int) error {
	return source.Errorf(source.TooLarge, "the query returns more than %d rows; raise the limit, or select less", limit)
}

// failure returns the error of a reading.
func (s *Source) failure(parent, bounded context.Context, r *reading, err error) error {
	_, ours := errors.AsType[*source.Error](err)
	switch {
	case r.stopped != nil:
		return r.stopped
	case ours:
		return err
	case errors.Is(parent.Err(), context.Canceled):
		return fmt.Errorf("read %s: %w", s.spec.Engine, parent.Err())
	}
	cause, text := s.driver.judge(err)
	switch {
	case parent.Err() != nil:
		cause, text = source.Slow, "not within the time limit of the caller; allow more time, or make the query faster"
	case bounded.Err() != nil:
		cause, text = source.Slow, fmt.Sprintf("no whole answer within %s; raise the timeout, or make the query faster", connectWithin+2*s.spec.Timeout)
	}
	return source.Errorf(cause, "read %s: %s", s.spec.Engine, text)
}

// count counts the rows of the query. The line end closes a comment at its end.
func count(ctx context.Context, tx transaction, query string) (n int, err error) {
	err = tx.query(ctx, "SELECT count(*) FROM (\n"+query+"\n) AS rollcall_rows", func([]string) error { return nil },
		func(values [][]byte) error {
			if len(values) != 1 {
				return source.Errorf(source.Malformed, "the count of the rows has %d columns", len(values))
			}
			if _, err := fmt.Sscan(string(values[0]), &n); err != nil {
				return source.Errorf(source.Malformed, "the count of the rows is no number")
			}
			return nil
		})
	return n, err
}

// reading is one Read of a Source.
type reading struct {
	each    func(columns []string, r source.Record) error
	limit   int
	counted int
	columns []string
	rows    int
	stopped error // of each
	sum     hash.Hash
}

func (r *reading) header(columns []string) error {
	seen := map[string]bool{}
	for i, name := range columns {
		switch {
		case strings.TrimSpace(name) == "" || name == "?column?":
			return source.Errorf(source.Malformed, "column %d of the query has no name; give it one with AS", i+1)
		case seen[name]:
			return source.Errorf(source.Malformed, "two columns of the query are named %q; rename one with AS", name)
		}
		seen[name] = true
		r.add([]byte(name))
	}
	r.columns = columns
	return nil
}

func (r *reading) row(values [][]byte) error {
	if r.rows == r.limit {
		return tooMany(r.limit)
	}
	r.rows++
	size := 0
	fields := make([]string, len(values))
	for i, value := range values {
		switch size += len(value); {
		case size > maxRow:
			return source.Errorf(source.TooLarge, "row %d of the query has more than %d bytes", r.rows, maxRow)
		case !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0:
			return source.Errorf(source.Malformed, "row %d of the query: column %q is no text in UTF-8; convert it in the query", r.rows, r.columns[i])
		}
		fields[i] = string(value)
		r.add(value)
	}
	r.stopped = r.each(r.columns, source.Record{At: fmt.Sprintf("row %d", r.rows), Fields: fields})
	return r.stopped
}

// add adds a value to the version, with its length, so that no two rows are equal by
// accident.
func (r *reading) add(value []byte) {
	r.sum.Write(binary.AppendUvarint(nil, uint64(len(value))))
	r.sum.Write(value)
}

func (r *reading) result() source.Reading {
	reading := source.Reading{Columns: r.columns, Complete: r.rows == r.counted, Version: hex.EncodeToString(r.sum.Sum(nil))}
	if !reading.Complete {
		reading.Why = fmt.Sprintf("the query returned %d rows of the %d that were counted: the server, a proxy or a limit of the user cuts results, "+
			"or the table has no transactions", r.rows, r.counted)
	}
	return reading
}
