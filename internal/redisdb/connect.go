package redisdb

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// tooManyClients is what Redis sends on a connection that exceeds maxclients, before it
// closes the connection. TLS connections are closed without it.
const tooManyClients = "ERR max number of clients reached"

// fullError reports that Redis has too many clients: it closed the connection and read
// no command from it. go-redis recognises the text and retries.
type fullError struct{}

func (*fullError) Error() string { return tooManyClients }

// greet is a hook that keeps the first answer on a connection if it reports too many
// clients. go-redis (v9.23) repeats HELLO on that closed connection, and its caller
// sees only "broken pipe".
type greet struct{}

// DialHook implements redis.Hook.
func (greet) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := &greeted{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok { // go-redis uses it to check the connection
			return struct {
				*greeted
				syscall.Conn
			}{g, raw}, nil
		}
		return g, nil
	}
}

// ProcessHook implements redis.Hook.
func (greet) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (greet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// greeted is a connection whose first answer is checked.
type greeted struct {
	net.Conn

	answered, full atomic.Bool
}

// Read implements net.Conn.
func (g *greeted) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 && g.answered.CompareAndSwap(false, true) && bytes.HasPrefix(p[:n], []byte("-"+tooManyClients)) {
		g.full.Store(true)
	}
	if g.full.Load() {
		return 0, &fullError{}
	}
	return n, err
}

// Write implements net.Conn.
func (g *greeted) Write(p []byte) (int, error) {
	if g.full.Load() {
		return 0, &fullError{}
	}
	return g.Conn.Write(p)
}

// courteous returns options whose connections set their name but do not depend on it:
// go-redis gives up a connection whose CLIENT SETNAME is refused, which some hosted
// Redis, proxies and ACL users do.
func courteous(options redis.UniversalOptions) *redis.UniversalOptions {
	name, connected := options.ClientName, options.OnConnect
	if name == "" {
		return &options
	}
	options.ClientName = ""
	options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if err := conn.ClientSetName(ctx, name).Err(); err != nil {
			if _, refused := errors.AsType[redis.Error](err); !refused {
				return err
			}
		}
		if connected == nil {
			return nil
		}
		return connected(ctx, conn)
	}
	return &options
}
