package api

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
)

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
