// Package sqltest starts a PostgreSQL or a MariaDB for a test, on the loopback interface
// and with an empty database named roster.
//
// It must not know what is stored in the database, and production code must not import
// it.
package sqltest

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/subprocess"
)

const (
	loopback = "127.0.0.1"
	// Database is the name of the database.
	Database = "roster"
	// portTries bounds how often a port that another process took in between is replaced.
	portTries = 5
	// stopWithin is how long a server may take to stop.
	stopWithin = 30 * time.Second
)

// Server is a database server of one test, with the programs' own defaults otherwise. It
// ends with the test.
type Server struct {
	Port string // of 127.0.0.1

	exec func(ctx context.Context, statements []string) error
	dsn  func(login, database, params string) string
}

// Exec runs statements as the administrator, each on its own, and ends the test if one
// fails.
func (s *Server) Exec(t *testing.T, statements ...string) {
	t.Helper()
	if err := s.exec(context.WithoutCancel(t.Context()), statements); err != nil {
		t.Fatalf("sqltest: %v", err)
	}
}

// DSN returns the address of a database in the form of its driver. params are added, such
// as "connect_timeout=1&x=2".
func (s *Server) DSN(user, password, database, params string) string {
	return s.dsn(user+":"+password, database, params)
}

// lookUp returns the path of a program, or ends the test: it is skipped unless
// ROLLCALL_REQUIRE_SQL=1. Debian does not put PostgreSQL's programs on the PATH.
func lookUp(t *testing.T, name, debian string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	if os.Getenv("ROLLCALL_REQUIRE_SQL") == "1" { //nolint:forbidigo // set by .ci/run
		t.Fatalf("sqltest: ROLLCALL_REQUIRE_SQL=1, but %s is not installed: apt-get install %s", name, debian)
	}
	t.Skipf("sqltest: %s is not installed: apt-get install %s", name, debian)
	return ""
}

// account runs the programs of a server. They refuse to run as root, so root runs them as
// the user of their Debian package.
type account struct {
	as       []string // before a command; empty: as this user
	uid, gid int
}

func accountOf(t *testing.T, name string) account {
	t.Helper()
	if os.Getuid() != 0 {
		return account{uid: os.Getuid(), gid: os.Getgid()}
	}
	found, err := user.Lookup(name)
	if err != nil {
		t.Skipf("sqltest: root cannot run this server, and there is no user %s: %v", name, err)
	}
	a := account{as: []string{
		lookUp(t, "setpriv", "util-linux"), "--reuid", found.Uid, "--regid", found.Gid, "--clear-groups", "--pdeathsig", "KILL",
	}}
	if a.uid, err = strconv.Atoi(found.Uid); err == nil {
		a.gid, err = strconv.Atoi(found.Gid)
	}
	if err != nil {
		t.Fatalf("sqltest: user %s: %v", name, err)
	}
	return a
}

func (a account) command(words ...string) []string {
	return append(slices.Clip(a.as), words...)
}

// directory makes a directory of the account. t.TempDir lies in one that only this user
// can enter.
func (a account) directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sqltest") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("sqltest: %v", err)
		}
	})
	if err := os.Chown(dir, a.uid, a.gid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// setUp runs a program to its end.
func (a account) setUp(t *testing.T, words ...string) {
	t.Helper()
	words = a.command(words...)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...) //nolint:gosec // the machine's own database
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sqltest: %v: %v\n%s", words, err, out)
	}
}

// start starts a server on a free port, which another process may take first.
func (a account) start(t *testing.T, ready string, words func(port string) []string) (port string, p *subprocess.Process) {
	t.Helper()
	for try := 1; ; try++ {
		ports, err := subprocess.Ports(t.Context(), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		command := a.command(words(ports[0])...)
		p, err := subprocess.Start(subprocess.Command{Program: command[0], Args: command[1:], Ready: ready, Env: []string{"LC_ALL=C"}})
		if err == nil {
			return ports[0], p
		}
		if try == portTries {
			t.Fatalf("sqltest: %v", err)
		}
	}
}

// stop ends a server by a signal, and by force if it does not end.
func stop(t *testing.T, p *subprocess.Process, pid int, by syscall.Signal) {
	t.Helper()
	if running, err := os.FindProcess(pid); err == nil {
		_ = running.Signal(by)
	}
	select {
	case <-p.Ended():
	case <-time.After(stopWithin):
		t.Errorf("sqltest: the server did not stop; its last output:\n%s", p.Output())
	}
	p.Kill()
}
