// Package config turns one YAML file into plain values, once, and says all that
// is wrong with it at once, each with its line and what to do.
//
// Secrets come from the environment or from files, never from the YAML. It must
// not know Redis, asynq or any platform's client.
package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/secret"
)

// Config is what a worker runs by. Load fills every default and judges it.
type Config struct {
	Redis         Redis          `yaml:"redis"`
	Listen        string         `yaml:"listen"` // address of the web UI, loopback; default 127.0.0.1:8080, "off" for none
	Log           Log            `yaml:"log"`
	Organisations []Organisation `yaml:"organisations"`
}

// Redis says where the tasks are kept: one of URL and Embedded.
type Redis struct {
	URL      string `yaml:"url"`      // redis://host:6379/0 or rediss://…, without a password
	Embedded string `yaml:"embedded"` // address of a Redis inside the worker that keeps nothing, e.g. 127.0.0.1:6390
	Username string `yaml:"username"` // ACL user; empty: the default user
	Password Source `yaml:"password"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info (default), warn, error
	Format string `yaml:"format"` // auto (default: text on a terminal, else json), text, json
}

// Organisation is a DingTalk corp or a ClassIn school, or both under one name.
type Organisation struct {
	Name    string   `yaml:"name"`
	Tenants []Tenant `yaml:"tenants"`
}

// Tenant is one set of credentials on one platform: exactly one of DingTalk and
// ClassIn is set.
type Tenant struct {
	Name     string    `yaml:"name"`
	DingTalk *DingTalk `yaml:"dingtalk"`
	ClassIn  *ClassIn  `yaml:"classin"`
}

// DingTalk is an internal app of a DingTalk organisation.
type DingTalk struct {
	API         string         `yaml:"api"`  // https://api.dingtalk.io or .com
	OAPI        string         `yaml:"oapi"` // https://oapi.dingtalk.io or .com
	AppKey      string         `yaml:"app_key"`
	AppSecret   Source         `yaml:"app_secret"`
	Timeout     Duration       `yaml:"timeout"`      // of one HTTP exchange; default 15s
	NicknameMax int            `yaml:"nickname_max"` // longest nickname, characters; default 30
	Limits      DingTalkLimits `yaml:"limits"`
}

// DingTalkLimits are what the platform allows an app at each API; default 20
// calls a second (standard edition).
type DingTalkLimits struct {
	Nickname Limit `yaml:"nickname"`
	Group    Limit `yaml:"group"`
	ID       Limit `yaml:"id"`
}

// ClassIn is a school's API access.
type ClassIn struct {
	BaseURL string        `yaml:"base_url"` // default https://api.eeo.cn
	SID     string        `yaml:"sid"`
	Secret  Source        `yaml:"secret"`
	Timeout Duration      `yaml:"timeout"` // of one HTTP exchange; default 60s
	Limits  ClassInLimits `yaml:"limits"`
}

// ClassInLimits are what the platform allows a school; undocumented, default 3
// calls a second.
type ClassInLimits struct {
	Course Limit `yaml:"course"`
}

// Limit is a number of calls in any window of a length. The zero value takes
// the platform's default.
type Limit struct {
	Calls int      `yaml:"calls"`
	Per   Duration `yaml:"per"`
}

// Source says where a secret is read from: the environment variable Env, or the
// file File. Value is what Load found there.
type Source struct {
	Env   string      `yaml:"env"`
	File  string      `yaml:"file"`
	Value secret.Text `yaml:"-"`
}

func (s Source) isZero() bool { return s.Env == "" && s.File == "" }

// read returns the secret, or what is wrong with where it should be.
func (s Source) read(getenv func(string) string) (secret.Text, error) {
	switch {
	case s.Env != "" && s.File != "":
		return secret.Text{}, errors.New("names both env and file; keep one")
	case s.Env != "":
		if v := getenv(s.Env); v != "" {
			return secret.New(v), nil
		}
		return secret.Text{}, fmt.Errorf("the environment variable %s is empty; set it before the worker starts", s.Env)
	case s.File != "":
		return readSecretFile(s.File)
	}
	return secret.Text{}, errors.New("is missing; write {env: NAME} or {file: /path}")
}

func readSecretFile(path string) (secret.Text, error) {
	info, err := os.Stat(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("cannot read the file: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o007 != 0 {
		return secret.Text{}, fmt.Errorf("others can read or write %s (mode %04o); run: chmod o-rwx %s", path, perm, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("cannot read the file: %w", err)
	}
	value := strings.TrimRight(string(content), "\r\n")
	if value == "" {
		return secret.Text{}, fmt.Errorf("the file %s is empty", path)
	}
	return secret.New(value), nil
}

// Duration is a length of time written with its unit: 15s, 2m.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler. A bare number is refused:
// nobody remembers whether it meant seconds or milliseconds.
func (d *Duration) UnmarshalText(text []byte) error {
	if _, err := strconv.ParseFloat(string(text), 64); err == nil {
		return fmt.Errorf("%s has no unit; write it as in 15s, 500ms or 2m", text)
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a length of time; write it as in 15s, 500ms or 2m", text)
	}
	*d = Duration(v)
	return nil
}
