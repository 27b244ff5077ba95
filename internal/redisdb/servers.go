package redisdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Servers returns the run ids of the servers that take writes: one, or one for
// each master of a Cluster, sorted. A server that was started anew has another,
// and so has a replica that took over: either may have forgotten something. The
// embedded one has none. One round trip to each.
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
		return "", nil // one that does not know the question
	}
	_, after, _ := strings.Cut(text, "run_id:")
	id, _, _ := strings.Cut(after, "\r\n")
	return id, err
}
