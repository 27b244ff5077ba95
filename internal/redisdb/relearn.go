package redisdb

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// New returns a client for the options of [Config.Options], as redis.NewUniversalClient
// does. Its connections also work if Redis refuses a client name. Its errors report too
// many clients. A Cluster's client notices within about a second that a master was
// replaced. The first command connects, not New. The caller closes the client.
func New(options *redis.UniversalOptions) redis.UniversalClient {
	client := redis.NewUniversalClient(courteous(*options))
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		client.AddHook(greet{})
		return client
	}
	cluster.OnNewNode(func(node *redis.Client) {
		node.AddHook(greet{})
		node.AddHook(relearn{cluster})
	})
	return client
}

// relearn makes a Cluster's client reload the assignment of slots when a node cannot be
// reached. go-redis v9.23 reloads it once a minute, and when a node reports that a slot
// has moved, which a dead node does not.
//
// A reload costs CLUSTER SLOTS at one node, in the background, and at most five are
// made per second.
type relearn struct{ cluster *redis.ClusterClient }

func (r relearn) look(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if _, answered := errors.AsType[redis.Error](err); answered || errors.Is(err, redis.ErrClosed) || ctx.Err() != nil {
		return // the node answers, or the caller has given up
	}
	r.cluster.ReloadState(ctx)
}

// DialHook implements redis.Hook.
func (r relearn) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		r.look(context.WithoutCancel(ctx), err) // a dial that timed out is evidence, too
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (r relearn) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (r relearn) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.look(ctx, err)
		return err
	}
}
