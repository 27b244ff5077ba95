package redistest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestADeploymentSurvivesTheDeathOfItsMaster(t *testing.T) {
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

func TestTheUserHasNoOtherPermissions(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		ctx, rdb := t.Context(), d.Client(t)
		tried := map[string]error{
			"set":      rdb.Set(ctx, "other:{a}", "x", 0).Err(),
			"keys":     rdb.Do(ctx, "keys", "*").Err(),
			"flushall": rdb.FlushAll(ctx).Err(),
			"config":   rdb.ConfigGet(ctx, "*").Err(),
			"acl":      rdb.Do(ctx, "acl", "list").Err(),
			"publish":  rdb.Publish(ctx, "other", "x").Err(),
		}
		for command, err := range tried {
			if err == nil || !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("%s: %v, want an error", command, err)
			}
		}
		denied, err := d.Denied(ctx)
		if err != nil || len(denied) < len(tried) {
			t.Errorf("the servers list %q, %v; want all refused commands", denied, err)
		}
		if again, err := d.Denied(ctx); err != nil || len(again) > 0 {
			t.Errorf("at the second call they list %q, %v", again, err)
		}

		options := d.Options()
		options.Username, options.Password, options.DialerRetries, options.MaxRedirects = "", "", 1, -1
		stranger := redis.NewUniversalClient(options)
		defer stranger.Close()
		if err := stranger.Get(ctx, "rollcall:{a}").Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("without a password: %v", err)
		}
	})
}
