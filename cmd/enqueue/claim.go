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

// claimRun makes a name that no run has this command's, of several that begin at the
// same moment.
func (a *app) claimRun(ctx context.Context, run string) error {
	err := a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		claimed, err := ledger.New(rdb).ClaimRun(ctx, run, rand.Text())
		if err == nil && !claimed {
			return cli.BadInput("--run %s: another command began a run of this name less than a minute ago: choose another name; nothing was enqueued", run)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.refuseKnownRun(ctx, run)
}

// refuseKnownRun fails if something was stored under a name: the results of that
// run would be overwritten.
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
				return cli.BadInput("--run %s: this run exists since %s and its results would be overwritten: choose another name; "+
					"rollcall runs show %s shows it; nothing was enqueued", run, cli.Clock(began), run)
			}
		}
		return nil
	})
}
