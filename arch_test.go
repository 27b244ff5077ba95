package rollcall_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "rollcall/"

// imports is the import table: each package, and the packages of this module that its
// production code may import. A package without a row fails the test, and so does an
// unused entry.
var imports = map[string][]string{
	".": {},

	"internal/secret": {},
	// The exit codes of all commands.
	"internal/exitcode": {},
	// The classes of attempts and dead letters, with their rules and advice.
	"internal/outcome": {},
	// The advice in Chinese, which producers do not link.
	"internal/advice":   {},
	"internal/readfile": {},
	"internal/console":  {},
	// Why the HTTP API did not carry out a request.
	"internal/problem": {},
	// Which hosts are this machine.
	"internal/loopback": {},
	"providers":         {},
	"internal/ledger":   {"internal/outcome"},
	"internal/pace":     {},
	// Which version this is, for everybody.
	"internal/buildinfo": {},

	// Who did what: events that people read later.
	"internal/audit": {},

	// What keeps a lane from taking tasks: names of places alone.
	"internal/hold": {"internal/audit"},

	// asynq's own layout, for packages that read or repair it.
	"internal/backlog": {},

	// What is damaged in the keys of a lane, and what is lost with it.
	"internal/damage": {"internal/audit", "internal/backlog", "internal/hold", "internal/ledger", "internal/pace", "internal/registry"},

	// Producers: they know no platform.
	"tasks":            {"internal/redisdb"},
	"internal/redisdb": {"internal/readfile", "internal/secret"},
	"internal/table":   {},
	"producer":         {"tasks", "internal/enqueue"},
	"runs":             {"internal/ledger", "internal/redisdb", "internal/run"},
	// The one table of the kinds of task.
	"internal/kinds": {"tasks", "internal/ledger"},
	// Which lanes are served, and the names of their queues.
	"internal/registry": {"tasks", "internal/kinds"},
	// The engine of every producer.
	"internal/enqueue": {"tasks", "internal/kinds", "internal/ledger", "internal/redisdb", "internal/registry"},
	"internal/roster":  {"tasks", "internal/console", "internal/kinds", "internal/table"},
	// Where a roster lives: it knows no kind.
	"internal/source": {"internal/buildinfo", "internal/loopback", "internal/secret", "internal/table"},
	// The names that a roster's people should have: values, no tasks.
	"internal/naming": {"tasks", "internal/kinds", "internal/roster"},
	// What the commands enqueue and rollcall share.
	"internal/cli": {
		"internal/buildinfo", "internal/console", "internal/enqueue", "internal/exitcode", "internal/readfile", "internal/redisdb", "internal/remote", "internal/secret",
	},
	// The JSON of the HTTP API, for its server and its client.
	"internal/wire": {
		"tasks", "internal/backlog", "internal/deadletter", "internal/explain", "internal/hold", "internal/ledger", "internal/overview",
		"internal/pace", "internal/registry", "internal/run",
	},
	// A worker's HTTP API, for the commands.
	"internal/remote": {
		"tasks", "internal/buildinfo", "internal/deadletter", "internal/enqueue", "internal/explain", "internal/hold", "internal/ledger",
		"internal/loopback", "internal/overview", "internal/problem", "internal/registry", "internal/roster", "internal/run",
		"internal/secret", "internal/table", "internal/wire",
	},
	// Keys that one request at a time has.
	"internal/lease": {"internal/redisdb"},
	// How a table is judged, and made a run.
	"internal/intake": {"tasks", "internal/lease", "internal/roster", "internal/run"},
	// What people see of the rows of a run.
	"internal/runview": {
		"tasks", "internal/kinds", "internal/ledger", "internal/privacy", "internal/registry", "internal/roster", "internal/run",
		"internal/sheet", "internal/table",
	},
	// How a file that a person names on a command line is read, and made a run.
	"internal/upload": {
		"tasks", "internal/cli", "internal/console", "internal/exitcode", "internal/intake", "internal/kinds", "internal/roster",
		"internal/run", "internal/table",
	},
	// Tables for people.
	"internal/sheet": {"internal/console", "internal/table"},
	"cmd/enqueue": {
		"tasks", "internal/cli", "internal/console", "internal/exitcode", "internal/intake", "internal/kinds",
		"internal/ledger", "internal/redisdb", "internal/remote", "internal/roster", "internal/run", "internal/upload",
	},

	// Administrators and operators: a package a subject.
	"cmd/rollcall": {
		"cmd/rollcall/internal/apply", "cmd/rollcall/internal/dead", "cmd/rollcall/internal/explain", "cmd/rollcall/internal/find",
		"cmd/rollcall/internal/forget", "cmd/rollcall/internal/ids", "cmd/rollcall/internal/lanes", "cmd/rollcall/internal/plan",
		"cmd/rollcall/internal/repair", "cmd/rollcall/internal/runs", "cmd/rollcall/internal/schedule",
		"cmd/rollcall/internal/template", "internal/cli",
	},
	"cmd/rollcall/internal/template": {
		"tasks", "internal/cli", "internal/console", "internal/exitcode", "internal/kinds", "internal/naming", "internal/readfile", "internal/roster",
		"internal/sheet", "internal/table",
	},
	"cmd/rollcall/internal/find": {
		"tasks", "internal/cli", "internal/console", "internal/kinds", "internal/ledger", "internal/privacy", "internal/registry",
	},
	"cmd/rollcall/internal/forget": {
		"tasks", "internal/audit", "cmd/rollcall/internal/find", "internal/cli", "internal/console", "internal/deadletter", "internal/exitcode",
		"internal/kinds", "internal/ledger", "internal/night", "internal/privacy", "internal/registry", "internal/run",
	},
	"cmd/rollcall/internal/repair": {
		"internal/audit", "internal/cli", "internal/console", "internal/damage", "internal/ledger", "internal/night", "internal/registry",
		"internal/run", "internal/schedule",
	},
	"cmd/rollcall/internal/lanes": {
		"internal/audit", "internal/cli", "internal/console", "internal/exitcode", "internal/hold", "internal/overview", "internal/pace",
		"internal/remote", "internal/roster",
	},
	"cmd/rollcall/internal/schedule": {
		"internal/cli", "internal/console", "internal/exitcode", "internal/night", "internal/schedule",
	},
	"cmd/rollcall/internal/session": {
		"internal/cli", "internal/deadletter", "internal/exitcode", "internal/intake", "internal/ledger",
		"internal/remote", "internal/run", "internal/runview", "internal/upload",
	},
	"cmd/rollcall/internal/plan": {
		"tasks", "cmd/rollcall/internal/session", "internal/cli", "internal/console", "internal/exitcode",
		"internal/intake", "internal/kinds", "internal/pace", "internal/roster", "internal/run", "internal/runview",
		"internal/sheet", "internal/table", "internal/upload",
	},
	"cmd/rollcall/internal/watch": {
		"cmd/rollcall/internal/lanes", "cmd/rollcall/internal/session", "internal/cli", "internal/console",
		"internal/exitcode", "internal/redisdb", "internal/registry", "internal/remote", "internal/run",
	},
	"cmd/rollcall/internal/apply": {
		"cmd/rollcall/internal/plan", "cmd/rollcall/internal/session", "cmd/rollcall/internal/watch", "internal/cli",
		"internal/console", "internal/exitcode", "internal/run", "internal/upload",
	},
	"cmd/rollcall/internal/runs": {
		"tasks", "cmd/rollcall/internal/apply", "cmd/rollcall/internal/plan", "cmd/rollcall/internal/session",
		"cmd/rollcall/internal/watch", "internal/cli", "internal/console", "internal/exitcode", "internal/kinds",
		"internal/roster", "internal/run", "internal/runview", "internal/sheet", "internal/table", "internal/upload",
	},
	"cmd/rollcall/internal/dead": {
		"tasks", "internal/cli", "internal/console", "internal/deadletter", "internal/exitcode",
		"internal/kinds", "internal/ledger", "internal/outcome", "internal/privacy", "internal/readfile", "internal/remote",
	},
	"cmd/rollcall/internal/ids": {
		"tasks", "internal/backlog", "internal/cli", "internal/console", "internal/exitcode", "internal/kinds", "internal/ledger",
		"internal/privacy", "internal/registry", "internal/unverified",
	},
	"cmd/rollcall/internal/explain": {
		"tasks", "cmd/rollcall/internal/dead", "cmd/rollcall/internal/lanes", "internal/cli", "internal/console",
		"internal/deadletter", "internal/exitcode", "internal/explain", "internal/kinds", "internal/ledger", "internal/overview", "internal/registry",
		"internal/remote",
	},

	// Runs: their rows, plans and results, and what feeds them.
	"internal/run": {
		"tasks", "internal/advice", "internal/backlog", "internal/enqueue", "internal/kinds", "internal/ledger", "internal/logging", "internal/outcome",
		"internal/pace", "internal/registry",
	},

	// One night of a schedule, from its reading to its report.
	"internal/night": {
		"tasks", "internal/audit", "internal/console", "internal/kinds", "internal/ledger", "internal/naming", "internal/outcome", "internal/pace", "internal/registry",
		"internal/roster", "internal/run", "internal/source", "internal/table",
	},

	// How people are masked.
	"internal/privacy": {"tasks", "internal/kinds"},

	// What a person does with what died.
	"internal/deadletter": {
		"tasks", "internal/audit", "internal/backlog", "internal/console", "internal/enqueue", "internal/kinds", "internal/ledger", "internal/outcome",
		"internal/privacy", "internal/registry",
	},

	// Changes of IDs that a person looks up.
	"internal/unverified": {"tasks", "internal/audit", "internal/deadletter", "internal/ledger", "internal/outcome", "internal/registry"},

	// What is known of one target.
	"internal/explain": {
		"tasks", "internal/deadletter", "internal/kinds", "internal/ledger", "internal/outcome", "internal/privacy", "internal/registry",
	},

	// Platforms: they know no task and no queue.
	"providers/internal/apicall": {"providers", "internal/buildinfo", "internal/loopback"},
	"providers/dingtalk":         {"providers", "internal/secret", "providers/internal/apicall"},
	"providers/classin":          {"providers", "internal/secret", "providers/internal/apicall"},

	// Where the two meet, and nowhere else.
	"internal/handler": {"tasks", "providers", "internal/kinds", "internal/ledger", "providers/classin", "providers/dingtalk"},

	"internal/lane": {
		"tasks", "providers", "internal/backlog", "internal/damage", "internal/handler", "internal/hold", "internal/kinds",
		"internal/ledger", "internal/logging", "internal/outcome", "internal/pace", "internal/privacy", "internal/redisdb",
		"internal/registry",
	},
	// What is searched for in the background, in the queues and records of all lanes.
	"internal/sweep": {
		"tasks", "internal/audit", "internal/backlog", "internal/damage", "internal/kinds", "internal/lane", "internal/ledger",
		"internal/outcome", "internal/registry",
	},
	// Who may use the HTTP API, and whom it calls.
	"internal/access":          {"internal/logging", "internal/loopback", "internal/problem", "internal/secret"},
	"internal/webhook":         {"internal/buildinfo", "internal/logging", "internal/loopback", "internal/secret"},
	"internal/config":          {"internal/access", "internal/kinds", "internal/loopback", "internal/readfile", "internal/secret"},
	"internal/source/sqldb":    {"internal/secret", "internal/source"},
	"internal/source/contacts": {"internal/source", "providers", "providers/dingtalk"},
	"internal/logging":         {"internal/console"},
	// Services in any language: HTTP in, a service's call, HTTP out.
	"internal/api": {
		"tasks", "internal/access", "internal/backlog", "internal/deadletter", "internal/enqueue", "internal/explain", "internal/hold",
		"internal/intake", "internal/lease", "internal/kinds", "internal/ledger", "internal/overview", "internal/pace", "internal/privacy",
		"internal/problem", "internal/redisdb", "internal/registry", "internal/roster", "internal/run", "internal/runview",
		"internal/table", "internal/wire",
	},
	"internal/metrics": {
		"providers", "internal/access", "internal/backlog", "internal/buildinfo", "internal/handler", "internal/hold", "internal/lane",
		"internal/ledger", "internal/logging", "internal/outcome", "internal/pace", "internal/registry", "internal/run", "internal/schedule",
		"internal/webhook",
	},
	// What is going on now, for those who look.
	"internal/overview": {
		"internal/backlog", "internal/hold", "internal/ledger", "internal/outcome", "internal/pace", "internal/redisdb",
		"internal/registry", "internal/run", "internal/schedule",
	},
	// The pages: a request comes in, the services of the commands and the API are called.
	"internal/ui": {
		"tasks", "internal/access", "internal/advice", "internal/audit", "internal/deadletter", "internal/enqueue", "internal/explain", "internal/hold",
		"internal/intake", "internal/kinds", "internal/ledger", "internal/night", "internal/outcome", "internal/overview",
		"internal/pace", "internal/privacy", "internal/redisdb", "internal/registry", "internal/roster", "internal/run",
		"internal/runview", "internal/schedule", "internal/sheet", "internal/table", "internal/unverified",
	},
	"internal/monitor": {"internal/access", "internal/kinds", "internal/privacy", "internal/redisdb"},
	"internal/schedule": {
		"tasks", "internal/audit", "internal/backlog", "internal/console", "internal/enqueue", "internal/kinds", "internal/logging", "internal/redisdb",
		"internal/roster", "internal/table",
	},
	"internal/redisdb/embedded": {},

	// The emulation knows nothing of what it is there to catch.
	"internal/sandbox": {},
	"internal/demo":    {"tasks", "internal/sandbox"},

	// The only package that may import all others.
	"cmd/worker": {
		"tasks", "providers", "internal/access", "internal/api", "internal/audit", "internal/buildinfo", "internal/config", "internal/console",
		"internal/deadletter", "internal/demo", "internal/enqueue", "internal/exitcode", "internal/handler", "internal/hold",
		"internal/kinds", "internal/lane", "internal/ledger", "internal/logging", "internal/metrics", "internal/monitor", "internal/naming",
		"internal/night", "internal/outcome", "internal/overview", "internal/pace", "internal/readfile", "internal/redisdb", "internal/redisdb/embedded",
		"internal/registry", "internal/roster", "internal/run", "internal/sandbox", "internal/schedule", "internal/secret",
		"internal/source", "internal/source/contacts", "internal/source/sqldb", "internal/sweep", "internal/table", "internal/ui", "internal/webhook", "providers/classin", "providers/dingtalk", "runs",
	},

	// Commands outside the product: benchmarks and chaos.
	"internal/subprocess": {},
	"bench": {
		"tasks", "internal/access", "internal/audit", "internal/enqueue", "internal/handler", "internal/kinds", "internal/lane", "internal/ledger",
		"internal/night", "internal/overview", "internal/pace", "internal/redisdb", "internal/registry", "internal/run", "internal/sandbox",
		"internal/secret", "internal/source", "internal/subprocess", "internal/sweep", "internal/ui", "providers/dingtalk",
	},
	// It builds the archives.
	"release": {"internal/buildinfo"},
	// It sees what a producer, an operator and the platforms see.
	"chaos": {
		"tasks", "internal/backlog", "internal/deadletter", "internal/enqueue", "internal/hold", "internal/kinds",
		"internal/ledger", "internal/outcome", "internal/redisdb", "internal/registry", "internal/sandbox", "internal/secret", "internal/subprocess", "runs",
	},

	// For tests alone; no production code may import them.
	"internal/commandtest": {"tasks", "internal/cli", "internal/pace", "internal/redistest", "internal/registry", "internal/subprocess"},
	"internal/lanetest": {
		"tasks", "providers", "internal/backlog", "internal/handler", "internal/hold", "internal/lane", "internal/ledger",
		"internal/logtest", "internal/outcome", "internal/pace", "internal/redisdb", "internal/redistest", "internal/sweep",
	},
	"internal/schooltest": {
		"tasks", "internal/enqueue", "internal/handler", "internal/lane", "internal/ledger", "internal/pace", "internal/redisdb",
		"internal/registry", "internal/run", "internal/sandbox", "internal/secret", "internal/sweep", "providers/classin", "providers/dingtalk",
	},
	"internal/manual":        {},
	"internal/redistest":     {"internal/subprocess"},
	"internal/sqltest":       {"internal/subprocess"},
	"internal/logtest":       {},
	"providers/providertest": {"providers"},
}

var forTests = []string{"internal/commandtest", "internal/lanetest", "internal/logtest", "internal/manual", "internal/redistest", "internal/schooltest", "internal/sqltest", "providers/providertest"}

// notPackages are names under which anything and everything gathers.
var notPackages = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "types", "base"}

type pkg struct {
	imports  map[string]bool // every import of its production code
	comments int             // files with a package comment
}

func survey(t *testing.T) map[string]pkg {
	t.Helper()
	pkgs := map[string]pkg{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "tools" || file == "examples") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		r, ok := pkgs[dir]
		if !ok {
			r.imports = map[string]bool{}
		}
		for _, spec := range parsed.Imports {
			r.imports[strings.Trim(spec.Path.Value, `"`)] = true
		}
		if parsed.Doc != nil {
			r.comments++
		}
		pkgs[dir] = r
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func TestTheImportTableHolds(t *testing.T) {
	t.Parallel()
	pkgs := survey(t)
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		allowed, listed := imports[dir]
		if !listed {
			t.Errorf("%s is not in the import table: say there what it may know", dir)
			continue
		}
		for imported := range pkgs[dir].imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s, which the table does not allow", dir, other)
			}
		}
		for _, other := range allowed {
			if !pkgs[dir].imports[module+other] {
				t.Errorf("the table lets %s import %s, and it does not: take the row out", dir, other)
			}
		}
	}
	for dir := range imports {
		if _, exists := pkgs[dir]; !exists {
			t.Errorf("the table lists %s, which does not exist", dir)
		}
	}
}

func TestEachPackageHasOneCommentAndAClearName(t *testing.T) {
	t.Parallel()
	for dir, r := range survey(t) {
		if r.comments != 1 {
			t.Errorf("%s has %d package comments, want one: what it is, and what it must not know", dir, r.comments)
		}
		if slices.Contains(notPackages, path.Base(dir)) {
			t.Errorf("%s: things with that name gather dust; name it after what it is for", dir)
		}
	}
}

func TestProductionCodeLinksNoTestCode(t *testing.T) {
	t.Parallel()
	for dir, r := range survey(t) {
		if slices.Contains(forTests, dir) {
			continue
		}
		for _, banned := range append(slices.Clone(forTests), "testing") {
			if r.imports[banned] || r.imports[module+banned] {
				t.Errorf("%s imports %s, which is for tests", dir, banned)
			}
		}
	}
}

// What a producer links is what every service that enqueues links: no platform, no Redis
// server inside the process, and for a service in Go no reader of YAML either.
func TestTheProducerLinksNoPlatform(t *testing.T) {
	t.Parallel()
	for _, pkg := range []string{"./cmd/enqueue", "./cmd/rollcall", "./producer", "./tasks"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(dep, module+"providers") || strings.HasPrefix(dep, module+"internal/handler") ||
				strings.Contains(dep, "miniredis") || strings.Contains(dep, "asynqmon") ||
				pkg == "./producer" && strings.Contains(dep, "yaml") {
				t.Errorf("%s links %s", pkg, dep)
			}
		}
	}
}
