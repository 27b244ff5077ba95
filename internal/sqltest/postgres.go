package sqltest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

const adminPassword = "pass-of-admin"

// PostgreSQL starts a PostgreSQL that stores nothing safely. It is skipped if it is not
// installed; with ROLLCALL_REQUIRE_SQL=1 the test fails.
func PostgreSQL(t *testing.T) *Server {
	t.Helper()
	initdb, postgres := lookUp(t, "initdb", "postgresql"), lookUp(t, "postgres", "postgresql")
	a := accountOf(t, "postgres")
	dir := a.directory(t)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(adminPassword), 0o644); err != nil { //nolint:gosec // of a test's server
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	a.setUp(t, initdb, "-D", data, "-U", "admin", "--pwfile", password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	port, p := a.start(t, "database system is ready to accept connections", func(port string) []string {
		return []string{
			postgres, "-D", data, "-p", port, "-c", "listen_addresses=" + loopback, "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "shared_buffers=16MB",
		}
	})
	t.Cleanup(func() { stop(t, p, postmaster(t, data), syscall.SIGQUIT) })
	s := &Server{Port: port}
	s.dsn = func(login, database, params string) string {
		return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable&%s", login, net.JoinHostPort(loopback, port), database, params)
	}
	s.exec = func(ctx context.Context, statements []string) error {
		return execPostgres(ctx, s.DSN("admin", adminPassword, Database, ""), statements)
	}
	if err := execPostgres(t.Context(), s.DSN("admin", adminPassword, "postgres", ""), []string{"CREATE DATABASE " + Database}); err != nil {
		t.Fatalf("sqltest: %v", err)
	}
	return s
}

// postmaster returns the process that removes the server's shared memory when it ends by
// a signal; a killed one leaves it behind.
func postmaster(t *testing.T, data string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		t.Fatalf("sqltest: %v", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		t.Fatalf("sqltest: postmaster.pid: %v", err)
	}
	return pid
}

func execPostgres(ctx context.Context, dsn string, statements []string) error {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if err := conn.Exec(ctx, statement).Close(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
