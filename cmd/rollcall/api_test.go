package main

import (
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/commandtest"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/secret"
)

// The scripts run their commands on Redis and at a worker's API, and compare what they
// print.
func TestTheAPIPrintsWhatRedisPrints(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/api/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	if testing.Short() { // it starts nearly as many commands as the others together
		files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "steer.txtar" })
	}
	commands := map[string]commandtest.Command{"api": serveAPI, "both": both, "same": sameFiles}
	maps.Copy(commands, scriptCommands)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) { kit.Run(t, s, files, commands) })
}

// scopes are those of the tokens of a script, which are in the files all, masked and so on.
func scopes() map[string]access.Principal {
	return map[string]access.Principal{
		"all":      {Scopes: access.Scopes()},
		"masked":   {Scopes: []access.Scope{access.Enqueue, access.Read, access.Operate, access.Approve}},
		"reader":   {Scopes: []access.Scope{access.Read, access.Names}},
		"producer": {Scopes: []access.Scope{access.Enqueue, access.Names}, Tenants: []string{"lakeside-dt"}},
	}
}

// api serves the API of a worker on the Redis of a script, and sets API to its URL.
func serveAPI(ts *testscript.TestScript, _ bool, _ []string) {
	options, err := redisdb.Config{URL: secret.New(ts.Getenv("ROLLCALL_REDIS_URL"))}.Options()
	ts.Check(err)
	producer, err := enqueue.New(enqueue.Config{Redis: options})
	ts.Check(err)
	rdb := commandtest.Client(ts)
	served := api.New(api.Config{Runs: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}), Producer: producer, Redis: rdb})
	var grants []access.Grant
	for name, p := range scopes() {
		token := access.NewSecret().Reveal()
		p.Token = name
		grants = append(grants, access.Grant{Principal: p, Expires: time.Now().Add(time.Hour), Hashes: []access.Hash{access.HashOf(token)}})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(token+"\n"), 0o600))
	}
	ts.Check(os.WriteFile(ts.MkAbs("wrong"), []byte(access.NewSecret().Reveal()), 0o600))
	guard := access.Guard{Tokens: access.NewTokens(grants...), Guesses: new(access.Guesses), Public: api.Public}
	server := httptest.NewServer(guard.Handler(served))
	ts.Setenv("API", server.URL)
	ts.Setenv("HOST", strings.TrimPrefix(server.URL, "http://"))
	ts.Defer(func() {
		server.Close()
		served.Close()
		_ = producer.Close()
		_ = rdb.Close()
	})
}

// both N ARGS... runs rollcall on Redis and at the API, which must exit with N and print the
// same. {} in an argument is another word in each run. both COMMAND N ARGS... runs another
// command.
func both(ts *testscript.TestScript, _ bool, args []string) {
	command := "rollcall"
	if _, err := strconv.Atoi(args[0]); err != nil {
		command, args = args[0], args[1:]
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var printed [2]string
	for i, where := range []string{"redis", "api"} {
		var all []string
		if where == "api" {
			all = []string{"--api", ts.Getenv("API"), "--token-file", "all"}
		}
		for _, arg := range args[1:] {
			all = append(all, strings.ReplaceAll(arg, "{}", where))
		}
		code := 0
		if exit, failed := errors.AsType[*exec.ExitError](ts.Exec(command, all...)); failed {
			code = exit.ExitCode()
		}
		printed[i] = "stdout:\n" + ts.ReadFile("stdout") + "stderr:\n" + ts.ReadFile("stderr")
		if code != want {
			ts.Fatalf("%s at %s: exit code %d, want %d\n%s", command, where, code, want, printed[i])
		}
		printed[i] = alike(printed[i], where)
	}
	if diff := cmp.Diff(printed[0], printed[1]); diff != "" {
		ts.Fatalf("%v (-Redis +API):\n%s", args, diff)
	}
	if strings.TrimSpace(printed[0]) == "stdout:\nstderr:" && want == 0 && !strings.Contains(strings.Join(args, " "), "--json") {
		ts.Fatalf("%v printed nothing", args)
	}
}

// same FILE compares the files that two runs of both have written.
func sameFiles(ts *testscript.TestScript, _ bool, args []string) {
	var content [2]string
	for i, where := range []string{"redis", "api"} {
		content[i] = alike(ts.ReadFile(strings.ReplaceAll(args[0], "{}", where)), where)
	}
	if diff := cmp.Diff(content[0], content[1]); diff != "" || content[0] == "" {
		ts.Fatalf("%s (-Redis +API):\n%s", args[0], diff)
	}
}

// what differs between two runs of one command.
var (
	runIDs  = regexp.MustCompile(`\br[a-z2-7]{16}\b`)
	digests = regexp.MustCompile(`(digest"?:?"? ?"?)[0-9a-f]{8,24}\b`)
	planned = regexp.MustCompile(`RUN/[0-9a-f]{24}`)
	moments = regexp.MustCompile(`20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?|\b\d\d:\d\d(:\d\d)?\b|\d+h\d\dm|\d+m\d\ds|\b\d+s\b|\d+d\d\dh`)
	ages    = regexp.MustCompile(`now|WHEN ago`)
	taskIDs = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	authors = regexp.MustCompile(`(ann@[A-Za-z0-9._-]+|token:all)`)
	numbers = regexp.MustCompile(`"(revision|eta_seconds|oldest_seconds)":[0-9.]+`)
)

func alike(text, where string) string {
	// Tables are as wide as their longest cell, and lines wrap where a name is longer.
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "-"+where, "-{}")), " ")
	for _, c := range []struct {
		of   *regexp.Regexp
		with string
	}{
		{taskIDs, "TASK"}, {runIDs, "RUN"}, {digests, "${1}DIGEST"}, {planned, "RUN/PLAN"}, {moments, "WHEN"}, {ages, "WHEN"}, {authors, "AUTHOR"}, {numbers, `"$1":N`},
	} {
		text = c.of.ReplaceAllString(text, c.with)
	}
	return text
}
