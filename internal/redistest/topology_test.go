package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestADeploymentOutlivesItsMaster(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			rdb := redisdb.New(d.Options())
			defer rdb.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := rdb.Set(ctx, "rollcall:{a}:key", "before", 0).Err(); err != nil {
				t.Fatal(err)
			}
			d.Settle(t)
			d.FailOver(t, "rollcall:{a}:key")
			for _, client := range []redis.UniversalClient{rdb, d.Client(t)} {
				if got, err := client.Get(ctx, "rollcall:{a}:key").Result(); err != nil || got != "before" {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
}
