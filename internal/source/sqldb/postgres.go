package sqldb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rollcall/internal/secret"
	"rollcall/internal/source"
)

// boolOID is the type of truth values.
const boolOID = 16

type postgres struct{ config *pgconn.Config }

func newPostgres(dsn secret.Text) (*postgres, error) {
	config, err := pgconn.ParseConfig(dsn.Reveal())
	if err != nil {
		// The error quotes the DSN.
		return nil, errors.New("the DSN of PostgreSQL cannot be read; write postgres://user:password@host:5432/database, " +
			"with %40 for @ and %2F for / in the password, and check that the certificates that it names exist")
	}
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["application_name"] = "rollcall"
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectWithin {
		config.ConnectTimeout = connectWithin
	}
	return &postgres{config: config}, nil
}

// run implements driver. The settings are those of the transaction alone, which a
// connection pooler passes on.
func (p *postgres) run(ctx context.Context, timeout time.Duration, read func(transaction) error) error {
	conn, err := pgconn.ConnectConfig(ctx, p.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		// The rest of a result is not waited for.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
		select {
		case <-conn.CleanupDone():
		case <-closing.Done():
		}
	}()
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = %d; SET LOCAL datestyle = 'ISO, YMD'",
		timeout.Milliseconds())
	if err := conn.Exec(ctx, begin).Close(); err != nil {
		return err
	}
	if err := read(pgTransaction{conn}); err != nil {
		return err
	}
	return conn.Exec(ctx, "ROLLBACK").Close()
}

type pgTransaction struct{ conn *pgconn.PgConn }

// query implements transaction. The values arrive as text, in the server's own form.
func (t pgTransaction) query(ctx context.Context, query string, columns func([]string) error, row func([][]byte) error) error {
	result := t.conn.ExecParams(ctx, query, nil, nil, nil, nil)
	fields := result.FieldDescriptions()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	if fields != nil { // nil: the statement failed
		if err := columns(names); err != nil {
			return err
		}
	}
	for result.NextRow() {
		values := result.Values()
		for i, f := range fields {
			if f.DataTypeOID == boolOID {
				values[i] = truth(values[i])
			}
		}
		if err := row(values); err != nil {
			return err
		}
	}
	_, err := result.Close()
	return err
}

// truth writes PostgreSQL's t and f as words.
func truth(value []byte) []byte {
	switch string(value) {
	case "t":
		return []byte("true")
	case "f":
		return []byte("false")
	}
	return value
}

// judge implements driver. Of the server's messages only those about the query are shown:
// others contain the user, or values of rows.
// See https://www.postgresql.org/docs/current/errcodes-appendix.html.
func (*postgres) judge(err error) (source.Cause, string) {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return network(err)
	}
	said := func(cause source.Cause, text string) (source.Cause, string) {
		return cause, fmt.Sprintf("%s (SQLSTATE %s)", text, e.Code)
	}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case e.Code == "57014":
		return said(source.Slow, "a statement did not end within the timeout, or was cancelled; raise the timeout, or make the query faster")
	case class == "28":
		return said(source.Refused, "the server refuses the user or the password of the DSN; check both, and pg_hba.conf")
	case e.Code == "42501":
		return said(source.Refused, e.Message+"; grant the user SELECT")
	case e.Code == "3D000":
		return said(source.Missing, "the database of the DSN does not exist")
	case e.Code == "42P01", e.Code == "3F000":
		return said(source.Missing, e.Message+"; correct the query")
	case class == "42":
		return said(source.Malformed, e.Message+"; correct the query")
	case e.Code == "25006":
		return said(source.Malformed, "the query changes data; it must be a SELECT without FOR UPDATE")
	case class == "57", class == "08", class == "53":
		return said(source.Down, "the server accepts no work: it starts, stops, or lacks connections or memory")
	case class == "22":
		return said(source.Malformed, "a value of a row cannot be converted; correct the query")
	case class == "XX", class == "58":
		return said(source.Down, "the server has an internal fault; see its log")
	}
	return said(source.Malformed, "the server refuses the query; run it in psql to see why")
}
