package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Line int // 0: the file as a whole
	Text string
}

// ProblemsError is all that is wrong with a file.
type ProblemsError struct {
	File     string
	Problems []Problem
}

// Error prints one problem a line, each with file and line.
func (e *ProblemsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		if p.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d: %s", e.File, p.Line, p.Text)
		} else {
			lines[i] = fmt.Sprintf("%s: %s", e.File, p.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// Load reads and judges the file at path. getenv is where secrets are looked
// up. The error is a *ProblemsError unless the file cannot be read.
func Load(path string, getenv func(string) string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	return Parse(path, content, getenv)
}

// Parse is Load for content that is at hand; name stands in the problems.
func Parse(name string, content []byte, getenv func(string) string) (*Config, error) {
	var cfg Config
	if err := yaml.Load(content, &cfg, yaml.WithKnownFields()); err != nil {
		return nil, &ProblemsError{File: name, Problems: yamlProblems(err)}
	}
	cfg.setDefaults()

	// The document a second time, as nodes: a problem found in a value is told
	// with the line that the value stands on.
	var root yaml.Node
	if err := yaml.Load(content, &root); err != nil {
		return nil, &ProblemsError{File: name, Problems: yamlProblems(err)}
	}
	j := &judge{root: &root, getenv: getenv}
	j.config(&cfg)
	if len(j.problems) > 0 {
		return nil, &ProblemsError{File: name, Problems: j.problems}
	}
	return &cfg, nil
}

func yamlProblems(err error) []Problem {
	if many, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		problems := make([]Problem, len(many.Errors))
		for i, e := range many.Errors {
			problems[i] = Problem{Line: e.Mark.Line, Text: explain(e.Message)}
		}
		return problems
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		return []Problem{{Line: one.Mark.Line, Text: explain(one.Message)}}
	}
	return []Problem{{Text: explain(err.Error())}}
}

// explain turns the parser's words about Go types into words about the file.
func explain(message string) string {
	if rest, ok := strings.CutPrefix(message, "field "); ok {
		if key, _, ok := strings.Cut(rest, " not found in type "); ok {
			return fmt.Sprintf("there is no key %q here; check its spelling and indentation", key)
		}
	}
	if strings.Contains(message, "no documents") {
		return "the file is empty; begin it with organisations:"
	}
	return message
}

func (c *Config) setDefaults() {
	if c.Redis.URL == "" && c.Redis.Embedded == "" {
		c.Redis.URL = "redis://127.0.0.1:6379/0"
	}
	setDefault(&c.Listen, "127.0.0.1:8080")
	setDefault(&c.Log.Level, "info")
	setDefault(&c.Log.Format, "auto")
	for i := range c.Organisations {
		for j := range c.Organisations[i].Tenants {
			t := &c.Organisations[i].Tenants[j]
			if t.DingTalk != nil {
				t.DingTalk.setDefaults()
			}
			if t.ClassIn != nil {
				t.ClassIn.setDefaults()
			}
		}
	}
}

func (d *DingTalk) setDefaults() {
	setDefault(&d.Timeout, Duration(15*time.Second))
	setDefault(&d.NicknameMax, 30)
	for _, l := range []*Limit{&d.Limits.Nickname, &d.Limits.Group, &d.Limits.ID} {
		setDefault(l, Limit{Calls: 20, Per: Duration(time.Second)})
	}
}

func (c *ClassIn) setDefaults() {
	setDefault(&c.BaseURL, "https://api.eeo.cn")
	setDefault(&c.Timeout, Duration(60*time.Second))
	setDefault(&c.Limits.Course, Limit{Calls: 3, Per: Duration(time.Second)})
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
