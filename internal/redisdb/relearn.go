package redisdb

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// New returns a client of what [Config.Options] describes, as
// redis.NewUniversalClient does. Its connections work without a client name if
// Redis refuses one, its errors report too many clients, and the client of a
// Cluster notices within a second or so that a master was replaced. It does not
// connect: the first command does. The caller closes it.
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

// relearn lets a Cluster's client ask who holds which slots when a node cannot
// be reached. By itself (go-redis v9.23) it asks once a minute, and when a node
// tells it that a slot has moved, which one that died does not.
//
// A reload costs CLUSTER SLOTS at one node, in the background, and at most five
// are made a second.
type relearn struct{ cluster *redis.ClusterClient }

func (r relearn) look(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if _, answered := errors.AsType[redis.Error](err); answered || errors.Is(err, redis.ErrClosed) || ctx.Err() != nil {
		return // the node is there, or nobody waits for it
	}
	r.cluster.ReloadState(ctx)
}

// DialHook implements redis.Hook.
func (r relearn) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		r.look(context.WithoutCancel(ctx), err) // a dial that took too long tells as much
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
