// Package session is the access of a command to the runs in Redis.
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
	"rollcall/internal/exitcode"
	"rollcall/internal/ledger"
	"rollcall/internal/run"
)

// Unfinished is the exit code of a command whose run is not done, or did not end well.
const Unfinished = 3

// Session is one call of a command that works on runs.
type Session struct {
	*cli.App

	Redis redis.UniversalClient
	Runs  *run.Service
}

// With calls do with the runs in Redis. Errors of runs are of wrong usage; others have the
// code cli.NoRedis, unless they have one.
func With(ctx context.Context, a *cli.App, do func(context.Context, *Session) error) error {
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		s := &Session{App: a, Redis: rdb, Runs: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})}
		return refusal(do(ctx, s))
	})
}

// refusal gives an error of the state of a run the code of wrong usage.
func refusal(err error) error {
	_, notFound := errors.AsType[*run.NotFoundError](err)
	_, state := errors.AsType[*run.StateError](err)
	_, digest := errors.AsType[*run.DigestError](err)
	_, gap := errors.AsType[*run.GapError](err)
	_, count := errors.AsType[*run.CountError](err)
	_, approver := errors.AsType[*run.ApproverError](err)
	if _, coded := errors.AsType[*exitcode.Error](err); !coded && (notFound || state || digest || gap || count || approver) {
		return exitcode.AsUsage(err)
	}
	return err
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
