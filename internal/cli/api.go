package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/readfile"
	"rollcall/internal/remote"
	"rollcall/internal/secret"
)

// tokenMax bounds a file with a token, in bytes.
const tokenMax = 4 << 10

// APIHelp is the part of a help text about --api.
const APIHelp = `With --api, or ROLLCALL_API, the command uses the HTTP API of the worker at that
URL, and needs no password of Redis. The token is in the file of --token-file or
ROLLCALL_TOKEN_FILE; docs/access.md explains how to get one.`

// apiURL returns the URL of the API and the flag or variable that names it; "": Redis is
// used. The flag --redis is stronger than the variable.
func (a *App) apiURL() (url, from string) {
	if a.api != "" {
		return a.api, "--api"
	}
	if a.redis != "" {
		return "", ""
	}
	return strings.TrimSpace(a.process.Getenv("ROLLCALL_API")), "ROLLCALL_API"
}

// UsesAPI reports whether the command uses the API.
func (a *App) UsesAPI() bool {
	url, _ := a.apiURL()
	return url != ""
}

// readAPI returns the API that the flags or the environment name.
func (a *App) readAPI() (remote.Config, error) {
	url, _ := a.apiURL()
	if a.api != "" && a.redis != "" {
		return remote.Config{}, BadInput("--api and --redis: use one of them")
	}
	path, from := a.tokenFile, "--token-file"
	if path == "" {
		path, from = a.process.Getenv("ROLLCALL_TOKEN_FILE"), "ROLLCALL_TOKEN_FILE"
	}
	if path == "" {
		return remote.Config{}, BadInput("missing --token-file: the API needs a token; worker token new makes one")
	}
	wrong := exitcode.AsConfig
	if a.tokenFile != "" {
		wrong = exitcode.AsUsage
	}
	content, err := readfile.Whole(path, tokenMax)
	if err != nil {
		return remote.Config{}, wrong(fmt.Errorf("%s: %w", from, err))
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return remote.Config{}, wrong(fmt.Errorf("%s: %s does not contain one token alone", from, path))
	}
	return remote.Config{URL: url, Token: secret.New(token), TokenFrom: path, Masked: func(name string) {
		console.Fprintf(a.Stderr, "names and ids of people are masked: token %s has no scope names\n", name)
	}}, nil
}

// badAPI is the error of a URL that cannot be used.
func (a *App) badAPI(err error) error {
	_, from := a.apiURL()
	err = fmt.Errorf("%s %w", from, err)
	if from == "--api" {
		return exitcode.AsUsage(err)
	}
	return exitcode.AsConfig(err)
}

// NeedsRedis refuses a command that the API does not serve. what names it.
func (a *App) NeedsRedis(what string) error {
	if !a.UsesAPI() {
		return nil
	}
	_, from := a.apiURL()
	return BadInput("%s needs Redis: the HTTP API does not have it; leave out %s, or use --redis", what, from)
}

// WithAPI runs do with a client of the API. An error of do without an exit code gets that
// of wrong usage if the API refused what was asked for, and else NoRedis.
func (a *App) WithAPI(ctx context.Context, do func(context.Context, *remote.Client) error) error {
	of, err := a.readAPI()
	if err != nil {
		return err
	}
	client, err := remote.New(of)
	if err != nil {
		return a.badAPI(err)
	}
	defer client.Close()
	err = do(ctx, client)
	if _, coded := errors.AsType[*exitcode.Error](err); err == nil || coded {
		return err
	}
	if failed := a.Stdout.Err(); failed != nil {
		return failed // no fault of the API
	}
	if e, ok := errors.AsType[*remote.Error](err); ok && e.Refused() {
		return exitcode.AsUsage(err)
	}
	return &exitcode.Error{Code: NoRedis, Err: err}
}
