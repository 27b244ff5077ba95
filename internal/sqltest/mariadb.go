package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// MariaDB starts a MariaDB that stores nothing safely. It is skipped if it is not
// installed; with ROLLCALL_REQUIRE_SQL=1 the test fails.
func MariaDB(t *testing.T) *Server {
	t.Helper()
	install, mariadbd := lookUp(t, "mariadb-install-db", "mariadb-server"), lookUp(t, "mariadbd", "mariadb-server")
	a := accountOf(t, "mysql")
	dir := a.directory(t)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	a.setUp(t, install, "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal")
	port, p := a.start(t, "ready for connections", func(port string) []string {
		return []string{
			mariadbd, "--no-defaults", "--datadir=" + data, "--bind-address=" + loopback, "--port=" + port, "--socket=" + socket,
			"--pid-file=" + filepath.Join(dir, "pid"), "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
			"--innodb-buffer-pool-size=16M", "--character-set-server=utf8mb4",
		}
	})
	t.Cleanup(p.Kill)
	s := &Server{Port: port}
	s.dsn = func(login, database, params string) string {
		return fmt.Sprintf("%s@tcp(%s:%s)/%s?%s", login, loopback, port, database, params)
	}
	admin := "root@unix(" + socket + ")/"
	s.exec = func(ctx context.Context, statements []string) error {
		return execMySQL(ctx, admin+Database, statements)
	}
	if err := execMySQL(t.Context(), admin, []string{"CREATE DATABASE " + Database}); err != nil {
		t.Fatalf("sqltest: %v", err)
	}
	return s
}

func execMySQL(ctx context.Context, dsn string, statements []string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
