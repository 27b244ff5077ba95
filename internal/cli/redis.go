package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/readfile"
	"rollcall/internal/redisdb"
	"rollcall/internal/secret"
)

const (
	defaultRedis = "redis://127.0.0.1:6379/0"
	urlFileMax   = 64 << 10 // bytes of the file that ROLLCALL_REDIS_URL_FILE names

	// dialWithin bounds an attempt to connect: somebody is waiting.
	dialWithin = 5 * time.Second
	// AnswerWithin bounds all requests to Redis of a command with few of them.
	AnswerWithin = 15 * time.Second
)

// RedisHelp is the part of a help text about --redis.
const RedisHelp = `The URL of Redis is the first of --redis, ROLLCALL_REDIS_URL, the content of the
file ROLLCALL_REDIS_URL_FILE, and ` + defaultRedis + `.
A password in --redis is visible to every user who can list processes.

A URL has one of these forms:
  redis://[user:password@]host[:port][/db]
  redis+sentinel://[user:password@]host[:port],host[:port]/master[/db]
  redis+cluster://[user:password@]host[:port],host[:port]
For TLS, write rediss instead of redis. docs/redis.md has the details.`

// redisOptions are those of the Redis that the flag or the environment names.
func (a *App) redisOptions() (*redis.UniversalOptions, error) {
	address, err := a.address()
	if err != nil {
		return nil, err
	}
	options, err := redisdb.Config{URL: address, ClientName: "rollcall-" + a.name}.Options()
	switch {
	case err != nil && a.redis != "":
		return nil, BadInput("--redis: %w", err)
	case err != nil:
		return nil, exitcode.AsConfig(err)
	}
	options.DialerRetries = 2 // somebody is waiting
	return options, nil
}

func (a *App) address() (secret.Text, error) {
	if a.redis != "" {
		return secret.New(a.redis), nil
	}
	if url := strings.TrimSpace(a.process.Getenv("ROLLCALL_REDIS_URL")); url != "" {
		return secret.New(url), nil
	}
	path := a.process.Getenv("ROLLCALL_REDIS_URL_FILE")
	if path == "" {
		return secret.New(defaultRedis), nil
	}
	content, err := readfile.Whole(path, urlFileMax)
	if err != nil {
		return secret.Text{}, exitcode.AsConfig(fmt.Errorf("ROLLCALL_REDIS_URL_FILE: %w", err))
	}
	return secret.New(strings.TrimSpace(string(content))), nil
}

// Producer returns a client that enqueues tasks. The caller closes it.
func (a *App) Producer() (*enqueue.Client, error) {
	if err := a.NeedsRedis(a.command); err != nil {
		return nil, err
	}
	options, err := a.redisOptions()
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	return client, exitcode.AsUsage(err)
}

// WithRedisFor is WithRedis for a limited time.
func (a *App) WithRedisFor(ctx context.Context, limit time.Duration, do func(context.Context, redis.UniversalClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return a.WithRedis(ctx, do)
}

// WithRedis runs do with a client, for a command that somebody waits for. An
// error of do without an exit code gets NoRedis.
func (a *App) WithRedis(ctx context.Context, do func(context.Context, redis.UniversalClient) error) error {
	if err := a.NeedsRedis(a.command); err != nil {
		return err
	}
	options, err := a.redisOptions()
	if err != nil {
		return err
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = dialWithin
	}
	if options.MaxRetries == 0 {
		options.MaxRetries = 1
	}
	rdb := redisdb.New(options)
	defer func() { _ = rdb.Close() }()
	return a.ofRedis(do(ctx, rdb))
}

// ofRedis gives an error the code NoRedis, unless it has one or is of an output.
// It says whether the fault passes.
func (a *App) ofRedis(err error) error {
	if _, coded := errors.AsType[*exitcode.Error](err); err == nil || coded {
		return err
	}
	if failed := a.Stdout.Err(); failed != nil {
		return failed // no fault of Redis
	}
	if _, passing := redisdb.FaultOf(err); passing {
		err = fmt.Errorf("%s; safe to retry", redisdb.Explain(err))
	}
	return &exitcode.Error{Code: NoRedis, Err: err}
}
