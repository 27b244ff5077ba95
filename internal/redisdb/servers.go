package redisdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Servers returns the run ids of the servers that accept writes, sorted: one, or one
// for each master of a Cluster. A restarted server has a new run id, and a replica that
// took over has another: either may have lost data. The embedded server has none. Cost:
// one round trip to each.
func Servers(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		id, err := runID(ctx, rdb)
		if err != nil || id == "" {
			return nil, err
		}
		return []string{id}, nil
	}
	var mu sync.Mutex
	var ids []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		id, err := runID(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id)
		return err
	})
	slices.Sort(ids)
	return ids, err
}

func runID(ctx context.Context, node redis.Cmdable) (string, error) {
	text, err := node.Info(ctx, "server").Result()
	if _, said := errors.AsType[redis.Error](err); said && !strings.HasPrefix(err.Error(), "NOPERM") {
		return "", nil // a server without the command
	}
	_, after, _ := strings.Cut(text, "run_id:")
	id, _, _ := strings.Cut(after, "\r\n")
	return id, err
}
