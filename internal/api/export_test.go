package api

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
)

// CarryOut carries out a request of a token once.
func CarryOut(ctx context.Context, rdb redis.UniversalClient, token, key string, do func() (*string, error)) (*string, bool, error) {
	return carryOut(ctx, once{leases{rdb}}, caller{access.Principal{Token: token}}, key, "digest", do)
}
