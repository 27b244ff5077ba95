package api

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/lease"
	"rollcall/internal/problem"
)

// Explain returns the problem of an error of a service.
func Explain(err error) *problem.Problem {
	p, _ := (&API{log: slog.New(slog.DiscardHandler)}).explain(context.Background(), "test", err).(*problem.Problem) //nolint:errorlint // it is never wrapped
	return p
}

// CarryOut carries out a request of a token once.
func CarryOut(ctx context.Context, rdb redis.UniversalClient, token, key string, do func() (*string, error)) (*string, bool, error) {
	return carryOut(ctx, once{rdb, lease.New(rdb)}, caller{access.Principal{Token: token}}, key, "digest", do)
}

// Document returns the OpenAPI document.
func (a *API) Document() []byte { return a.document }
