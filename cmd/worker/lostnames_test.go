package main

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/demo"
)

// luaScripts names the Lua scripts of rollcall and of asynq by their bodies, and the
// scripts that were sent by their SHA1.
type luaScripts struct {
	sources map[string]string // name → end of the body

	mu     sync.Mutex
	bodies map[string]string // SHA1 → body
	named  map[string]string // SHA1 → name
}

// inline finds the scripts in Go files.
var inline = regexp.MustCompile("(\\w+)\\s*=\\s*(?:redis\\.NewScript\\()?`([^`]*)`")

func readScripts(t *testing.T) *luaScripts {
	t.Helper()
	s := &luaScripts{sources: map[string]string{}, bodies: map[string]string{}, named: map[string]string{}}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hibiken/asynq").Output()
	if err != nil {
		t.Fatalf("where asynq's scripts are: %v", err)
	}
	s.read(t, filepath.Join(strings.TrimSpace(string(out)), "internal", "rdb", "*.go"), "asynq's ")
	s.read(t, "../../internal/enqueue/*.go", "")
	s.read(t, "../../internal/*/*.go", "")
	files, err := filepath.Glob("../../*/*/*.lua")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d .lua files are found: %v", len(files), err)
	}
	for _, file := range files {
		s.sources["`"+strings.TrimPrefix(filepath.ToSlash(file), "../../")+"`"] = content(t, file)
	}
	return s
}

func (s *luaScripts) read(t *testing.T, pattern, whose string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files %s: %v", pattern, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue // a copy in a test would have its name by chance
		}
		where := " of `" + strings.TrimPrefix(filepath.ToSlash(file), "../../") + "`"
		if whose != "" {
			where = ""
		}
		for _, m := range inline.FindAllStringSubmatch(content(t, file), -1) {
			s.sources[whose+"`"+strings.TrimSuffix(m[1], "Cmd")+"`"+where] = m[2]
		}
	}
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// learn records a body that was sent. A body whose beginning is shared by several
// scripts is recognised by its end.
func (s *luaScripts) learn(body string) (sha string) {
	sum := sha1.Sum([]byte(body))
	sha = hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	name, length := "an unknown script", 0
	for candidate, source := range s.sources {
		if strings.HasSuffix(body, source) && len(source) > length {
			name, length = candidate, len(source)
		}
	}
	s.bodies[sha], s.named[sha] = body, name
	return sha
}

func (s *luaScripts) all() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.bodies)
}

var (
	taskID    = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	serverKey = regexp.MustCompile(`^(asynq:(?:servers|workers)):\{.*`)
)

// name is the name of a command on the page, for any task; empty for the commands that
// open a connection.
func (s *luaScripts) name(words []string) string {
	verb, key := strings.ToUpper(words[0]), ""
	if len(words) > 1 {
		key = words[1]
	}
	switch verb {
	case "HELLO", "CLIENT", "SELECT", "PING":
		return ""
	case "EVAL", "EVALSHA":
		sha := key
		if verb == "EVAL" {
			sha = s.learn(key)
		}
		s.mu.Lock()
		name := s.named[sha]
		s.mu.Unlock()
		if name == "" {
			return "" // its body follows
		}
		if strings.Contains(words[3], ".urgent}") {
			name += ", urgent"
		}
		return name
	}
	key = taskID.ReplaceAllString(key, "<task id>")
	key = strings.ReplaceAll(key, demo.DingTalk, "<tenant>")
	key = serverKey.ReplaceAllString(key, "$1:{…}")
	return "`" + strings.TrimSpace(verb+" "+key) + "`"
}
