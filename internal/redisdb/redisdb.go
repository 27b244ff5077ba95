// Package redisdb turns the address of a Redis into a client of it, with
// errors that never repeat a password.
//
// It must not know what is kept in Redis, nor where the address was configured.
package redisdb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/internal/secret"
)

const forms = "redis://[user:password@]host[:port][/db], rediss://… for TLS, or unix://[user:password@]/path/to.sock[?db=n]"

// Config says which Redis, and how. A single server for now: what Sentinel and
// Cluster need will be further fields.
type Config struct {
	// URL has one of the forms redis://, rediss:// and unix://. It takes
	// go-redis' options in its query, e.g. ?pool_size=50&read_timeout=3s
	// (https://pkg.go.dev/github.com/redis/go-redis/v9#ParseURL).
	URL secret.Text
	// ClientName is what CLIENT LIST shows for our connections. Empty: "rollcall".
	ClientName string
}

// Open returns a client of the Redis at address. It does not connect: the
// first command does. The caller closes it.
func Open(address string) (redis.UniversalClient, error) {
	return Config{URL: secret.New(address)}.Open()
}

// Open returns a client. It does not connect: the first command does. The
// caller closes it.
func (c Config) Open() (redis.UniversalClient, error) {
	options, err := c.Options()
	if err != nil {
		return nil, err
	}
	return redis.NewUniversalClient(options), nil
}

// Options returns what a client is made of, for those that change a part of
// it first: how often a command is repeated, or how many connections there are.
func (c Config) Options() (*redis.UniversalOptions, error) {
	o, err := parse(c.URL.Reveal())
	if err != nil {
		return nil, err
	}
	name := c.ClientName
	if name == "" {
		name = o.ClientName
	}
	if name == "" {
		name = "rollcall"
	}
	return &redis.UniversalOptions{
		Addrs:    []string{o.Addr},
		DB:       o.DB,
		Username: o.Username, Password: o.Password,
		ClientName: name, Protocol: o.Protocol,
		TLSConfig: o.TLSConfig,

		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		// Without it a deadline of the caller would not reach the socket.
		ContextTimeoutEnabled: true,

		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		MaxConcurrentDials: o.MaxConcurrentDials,
		ConnMaxIdleTime:    o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		PipelinePoolSize:      o.PipelinePoolSize, PipelineReadBufferSize: o.PipelineReadBufferSize,
		PipelineWriteBufferSize: o.PipelineWriteBufferSize,

		// A hosted Redis alone sends these; asking costs every new connection a
		// round trip, and every client goroutines that outlive a test.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// parse wraps redis.ParseURL, whose errors quote the very pieces that a
// password with an unescaped / or ? ends up in.
func parse(address string) (*redis.Options, error) {
	if address == "" {
		return nil, fmt.Errorf("redis address: it is empty: give %s", forms)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("redis address: not a URL (it is not shown, it may hold a password): give %s, with / ? # @ : %% of a password percent-encoded", forms)
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, fmt.Errorf("redis address: it does not begin with redis://, rediss:// or unix://: give %s", forms)
	}
	if u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, errors.New("redis address: an @ stands after the host: percent-encode / ? # @ : % of the password")
	}
	if u.Fragment != "" {
		return nil, errors.New("redis address: a # has no meaning in it: percent-encode it if it belongs to the password")
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		// No @ stood behind the host, so no piece of a password can be in here.
		return nil, fmt.Errorf("redis address of host %q: %s", u.Host, strings.TrimPrefix(err.Error(), "redis: "))
	}
	return o, nil
}

// connOpt is how asynq asks for a client.
type connOpt struct{ client redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (o connOpt) MakeRedisClient() any { return o.client }

// ConnOpt lets asynq use a client that we made, with our hooks, retries and
// TLS. asynq closes that client with the server, inspector or asynqmon handler
// that got it: give each a client of its own.
func ConnOpt(client redis.UniversalClient) asynq.RedisConnOpt { return connOpt{client} }
