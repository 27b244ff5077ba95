package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

// claimRun reserves the name of a run for this command, against others that begin at
// the same moment.
func (a *app) claimRun(ctx context.Context, run string) error {
	err := a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		claimed, err := ledger.New(rdb).ClaimRun(ctx, run, rand.Text())
		if err == nil && !claimed {
			return cli.BadInput("--run %s: another command has just begun a run with this name: choose another name; nothing was enqueued", run)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.refuseKnownRun(ctx, run)
}

// refuseKnownRun fails if a run with the name exists, because its results would be
// overwritten.
func (a *app) refuseKnownRun(ctx context.Context, run string) error {
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		lanes, err := registry.Read(ctx, rdb, time.Time{})
		if err != nil {
			return err
		}
		book := ledger.New(rdb)
		for _, l := range lanes {
			began, found, err := book.RunBegan(ctx, l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: run})
			if err != nil {
				return err
			}
			if found {
				return cli.BadInput("--run %s: a run with this name exists since %s and its results would be overwritten: choose another name; "+
					"to see that run: rollcall runs show %s; nothing was enqueued", run, cli.Clock(began), run)
			}
		}
		return nil
	})
}
