package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/secret"
	"rollcall/internal/source"
)

type mySQL struct{ config *mysql.Config }

func newMySQL(dsn secret.Text) (*mySQL, error) {
	config, err := mysql.ParseDSN(dsn.Reveal())
	if err != nil {
		// The error may quote the DSN.
		return nil, errors.New("the DSN of MySQL cannot be read; write user:password@tcp(host:3306)/database")
	}
	config.Logger = &mysql.NopLogger{}
	config.ParseTime = false // times are read as the server writes them
	config.MultiStatements = false
	config.AllowAllFiles = false // the server may not ask for files of ours
	config.InterpolateParams = false
	if config.Timeout == 0 || config.Timeout > connectWithin {
		config.Timeout = connectWithin
	}
	if _, err := mysql.NewConnector(config); err != nil {
		return nil, errors.New("the DSN of MySQL cannot be used; check its parameters, such as tls and loc")
	}
	return &mySQL{config: config}, nil
}

// run implements driver.
func (m *mySQL) run(ctx context.Context, timeout time.Duration, read func(transaction) error) error {
	connector, err := mysql.NewConnector(m.config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	connecting, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	conn, err := db.Conn(connecting)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := setTimeout(ctx, conn, timeout); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was changed; it ends with the connection in any case
	return read(myTransaction{tx})
}

// setTimeout bounds the statements of a connection: MariaDB has a variable in seconds,
// MySQL one in milliseconds.
// See https://mariadb.com/kb/en/aborting-statements/.
func setTimeout(ctx context.Context, conn *sql.Conn, timeout time.Duration) error {
	var version string
	if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	statement := fmt.Sprintf("SET SESSION max_execution_time = %d", timeout.Milliseconds())
	if strings.Contains(version, "MariaDB") {
		statement = fmt.Sprintf("SET SESSION max_statement_time = %.3f", timeout.Seconds())
	}
	_, err := conn.ExecContext(ctx, statement)
	return err
}

type myTransaction struct{ tx *sql.Tx }

// query implements transaction. Without arguments the values arrive as text, in the
// server's own form.
func (t myTransaction) query(ctx context.Context, query string, columns func([]string) error, row func([][]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := t.tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() {
		cancel() // else Close would read the rest of the result
		_ = rows.Close()
	}()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if err := columns(names); err != nil {
		return err
	}
	raw := make([]sql.RawBytes, len(names))
	into := make([]any, len(names))
	values := make([][]byte, len(names))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range raw {
			values[i] = raw[i]
		}
		if err := row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// judge implements driver. Of the server's messages only those about the query are shown:
// others contain the user, or values of rows.
// See https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and
// https://mariadb.com/kb/en/mariadb-error-code-reference/.
func (*mySQL) judge(err error) (source.Cause, string) {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return network(err)
	}
	said := func(cause source.Cause, text string) (source.Cause, string) {
		return cause, fmt.Sprintf("%s (error %d)", text, e.Number)
	}
	switch e.Number {
	case 3024, 1969, 1317: // timeout of MySQL, of MariaDB; interrupted
		return said(source.Slow, "a statement did not end within the timeout, or was cancelled; raise the timeout, or make the query faster")
	case 1044, 1045, 1130, 1227, 1370, 1698, 3118, 4151: // user, password, host, privilege, locked account
		return said(source.Refused, "the server refuses the user, the password or the host; check the DSN and the user's rights")
	case 1142, 1143: // table, column
		return said(source.Refused, e.Message+"; grant the user SELECT")
	case 1049:
		return said(source.Missing, "the database of the DSN does not exist")
	case 1146:
		return said(source.Missing, e.Message+"; correct the query")
	case 1792:
		return said(source.Malformed, "the query changes data; it must be a SELECT")
	case 1054, 1052, 1060, 1064, 1305, 1055, 1248: // columns, syntax, function, grouping, alias
		return said(source.Malformed, e.Message+"; correct the query")
	case 1040, 1053, 1203, 1205, 1213, 1226: // connections, shutdown, locks, limits of the user
		return said(source.Down, "the server accepts no work: it stops, or a limit of connections or locks is reached")
	}
	return said(source.Malformed, "the server refuses the query; run it in a MySQL client to see why")
}
