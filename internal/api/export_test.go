package api

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
)

// Explain returns the problem of an error of a service.
func Explain(err error) *Problem {
	p, _ := (&API{log: slog.New(slog.DiscardHandler)}).explain(context.Background(), "test", err).(*Problem) //nolint:errorlint // it is never wrapped
	return p
}

// Kind returns the title and the status of a type of problem. It panics if there is none.
func Kind(name string) (title string, status int) {
	k := kindOf(name)
	return k.Title, k.Status
}

// CarryOut carries out a request of a token once.
func CarryOut(ctx context.Context, rdb redis.UniversalClient, token, key string, do func() (*string, error)) (*string, bool, error) {
	return carryOut(ctx, once{leases{rdb}}, caller{access.Principal{Token: token}}, key, "digest", do)
}

// PlanWithoutService makes a plan in the background, which panics, and returns its error.
func PlanWithoutService(ctx context.Context, rdb redis.UniversalClient, log *slog.Logger) error {
	pass := newPlanner(ctx, nil, leases{rdb}, log).start("r4uso2arutn5qyh5s")
	<-pass.done
	return pass.err
}
