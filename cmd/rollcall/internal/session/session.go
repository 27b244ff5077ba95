// Package session is the access of a command to runs: in Redis, or at a worker's API.
//
// It must not know what a command does with them.
package session

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/intake"
	"rollcall/internal/ledger"
	"rollcall/internal/remote"
	"rollcall/internal/run"
	"rollcall/internal/runview"
)

// Unfinished is the exit code of a command whose run is not done, or did not end well.
const Unfinished = 3

// Session is one call of a command that works on runs.
type Session struct {
	*cli.App

	Runs Runs
	// Redis is nil if the API is used, and API is nil if Redis is.
	Redis redis.UniversalClient
	API   *remote.Client
}

// With calls do with the runs in Redis, or at the API. Errors of runs are of wrong usage;
// others have the code cli.NoRedis, unless they have one.
func With(ctx context.Context, a *cli.App, do func(context.Context, *Session) error) error {
	if a.UsesAPI() {
		return a.WithAPI(ctx, func(ctx context.Context, client *remote.Client) error {
			return refusal(do(ctx, &Session{App: a, Runs: client, API: client}))
		})
	}
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		runs := InRedis{run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})}
		return refusal(do(ctx, &Session{App: a, Redis: rdb, Runs: runs}))
	})
}

// refusal gives an error of the state of a run the code of wrong usage.
func refusal(err error) error {
	usage := is[*run.NotFoundError](err) || is[*run.AmbiguousError](err) || is[*run.StateError](err) || is[*run.DigestError](err) ||
		is[*run.GapError](err) || is[*run.CountError](err) || is[*run.ApproverError](err)
	if usage && !is[*exitcode.Error](err) {
		return exitcode.AsUsage(err)
	}
	return err
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// Checker returns what checks the rows of a file before the first is uploaded. The caller
// calls end.
func (s *Session) Checker(ctx context.Context) (c intake.Checker, end func(), err error) {
	if s.API != nil {
		c, err := s.API.NewChecker(ctx)
		return c, func() {}, err
	}
	client, err := s.Producer()
	if err != nil {
		return nil, nil, err
	}
	return client, func() { _ = client.Close() }, nil
}

// Advice returns what to do about the failed rows of a run. The API gives it with each row.
func (s *Session) Advice(ctx context.Context, r run.Run) (runview.Advice, error) {
	if s.API != nil {
		return nil, nil //nolint:nilnil // it is optional
	}
	return runview.ReadAdvice(ctx, ledger.New(s.Redis), r)
}

// Causes returns why rows of a run failed, the most frequent first.
func (s *Session) Causes(ctx context.Context, id string) ([]deadletter.Cause, error) {
	f := deadletter.Filter{Run: id}
	if s.API != nil {
		return s.API.Causes(ctx, f)
	}
	return deadletter.New(s.Redis, nil).Causes(ctx, f)
}

// Find returns the run that a word names: its id, the beginning of it, or its name.
func (s *Session) Find(ctx context.Context, word string) (run.Run, error) {
	id, err := s.Runs.Find(ctx, word)
	if err != nil {
		return run.Run{}, err
	}
	return s.Runs.Get(ctx, id)
}

// IsFile reports whether an argument names a file. One that names a run too is refused.
func (s *Session) IsFile(ctx context.Context, arg string) (isFile bool, err error) {
	if arg == "-" {
		return true, nil
	}
	info, err := os.Stat(arg)
	isFile = err == nil && !info.IsDir()
	if strings.ContainsAny(arg, `/\`) {
		return true, nil
	}
	_, err = s.Runs.Find(ctx, arg)
	missing, unknown := errors.AsType[*run.NotFoundError](err)
	switch {
	case unknown && !isFile:
		return false, cli.BadInput("%w; there is no file of that name either", missing)
	case unknown:
		return true, nil
	case err != nil:
		return false, err
	case isFile:
		return false, cli.BadInput("%s names a run and a file: write ./%s for the file, or the id of the run", arg, arg)
	}
	return false, nil
}
