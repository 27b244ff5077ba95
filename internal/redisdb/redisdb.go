// Package redisdb turns a description of a Redis (single, with Sentinel, or a Cluster)
// into a client. Its errors never repeat a password.
//
// The package must not know what is stored in Redis, nor where the description came
// from.
package redisdb

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/internal/secret"
)

// Config describes a Redis. Exactly one of URL, Sentinel and Cluster is set; the other
// fields apply to all three.
type Config struct {
	// URL has one of the forms redis://, rediss://, unix://, redis+sentinel://,
	// rediss+sentinel://, redis+cluster:// and rediss+cluster://; docs/redis.md
	// describes them. Its query may contain go-redis' options, e.g.
	// ?pool_size=50&read_timeout=3s
	// (https://pkg.go.dev/github.com/redis/go-redis/v9#ParseURL).
	URL secret.Text
	// Sentinel is a master that Sentinels watch. Zero value: none.
	Sentinel Sentinel
	// Cluster is a Redis Cluster. Zero value: none.
	Cluster Cluster

	// Username and Password are those of the ACL user at the Redis servers. They
	// override those of the URL. Empty: those of the URL, or the default user.
	Username string
	Password secret.Text
	// TLS applies to all connections, also to Sentinels. nil: no TLS, unless the URL
	// begins with rediss.
	TLS *TLS
	// ClientName is the name of our connections in CLIENT LIST. Empty: the URL's
	// client_name, or "rollcall".
	ClientName string
}

// Sentinel names a master and the Sentinels that watch it.
type Sentinel struct {
	Master    string   // its name at the Sentinels
	Addresses []string // host:port of one or more Sentinels
	// Username and Password are those of the Sentinels. Empty: the Sentinels need none.
	Username string
	Password secret.Text
}

// Cluster names nodes of a Redis Cluster; the others are discovered.
type Cluster struct{ Addresses []string } // host:port of one or more nodes

func (s Sentinel) isZero() bool {
	return s.Master == "" && len(s.Addresses) == 0 && s.Username == "" && s.Password.IsZero()
}

// Open returns a client of the Redis at address, which has one of the forms of
// [Config.URL]. The first command connects, not Open. The caller closes the client.
func Open(address string) (redis.UniversalClient, error) {
	return Config{URL: secret.New(address)}.Open()
}

// Open returns a client. The first command connects, not Open. The caller closes the
// client.
func (c Config) Open() (redis.UniversalClient, error) {
	options, err := c.Options()
	if err != nil {
		return nil, err
	}
	return New(options), nil
}

// Options returns the options of a client, for callers that change some first: the
// number of retries or of connections. It reads the TLS files. Errors contain no
// secret.
func (c Config) Options() (*redis.UniversalOptions, error) {
	o, err := c.place()
	if err != nil {
		return nil, err
	}
	if c.Username != "" || !c.Password.IsZero() {
		o.Username, o.Password = c.Username, c.Password.Reveal()
	}
	o.ClientName = cmp.Or(c.ClientName, o.ClientName, "rollcall")
	if c.TLS != nil {
		if o.TLSConfig, err = c.TLS.config(o.TLSConfig); err != nil {
			return nil, err
		}
	}
	// Without it a deadline of the caller would not reach the socket.
	o.ContextTimeoutEnabled = true
	// It costs a round trip for every connection, and the ACL user may not do it.
	o.DisableIdentity = true
	// Only a hosted Redis sends these notifications. Asking for them costs a round trip
	// for every connection, and goroutines that outlive a test for every client.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// place returns the address of Redis, from the field that names it.
func (c Config) place() (*redis.UniversalOptions, error) {
	sentinel, cluster := !c.Sentinel.isZero(), len(c.Cluster.Addresses) > 0
	switch {
	case sentinel && cluster, !c.URL.IsZero() && (sentinel || cluster):
		return nil, errors.New("redis: more than one of url, sentinel and cluster is given: keep the right one")
	case sentinel:
		return c.Sentinel.options()
	case cluster:
		return c.Cluster.options()
	}
	return parse(c.URL.Reveal())
}

func (s Sentinel) options() (*redis.UniversalOptions, error) {
	if s.Master == "" {
		return nil, errors.New("redis: sentinel: the master's name is missing: use the name in the Sentinels' sentinel monitor line")
	}
	if err := checkAddresses("sentinel", s.Addresses); err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		MasterName: s.Master, Addrs: slices.Clone(s.Addresses),
		SentinelUsername: s.Username, SentinelPassword: s.Password.Reveal(),
	}, nil
}

func (c Cluster) options() (*redis.UniversalOptions, error) {
	if err := checkAddresses("cluster", c.Addresses); err != nil {
		return nil, err
	}
	// One address is enough to discover the rest, but without IsClusterMode it would
	// mean a single server.
	return &redis.UniversalOptions{Addrs: slices.Clone(c.Addresses), IsClusterMode: true}, nil
}

func checkAddresses(what string, addresses []string) error {
	if len(addresses) == 0 {
		return fmt.Errorf("redis: %s: there are no addresses: list host:port of one or more", what)
	}
	for _, a := range addresses {
		// An address with an @ would be a URL with a password.
		if strings.Contains(a, "@") {
			return fmt.Errorf("redis: %s: an address contains an @ (it is not shown because it may contain a password): write host:port, and the user in its own field", what)
		}
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("redis: %s: address %q is not host:port", what, a)
		}
	}
	return nil
}

// connOpt passes a client to asynq.
type connOpt struct{ client redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (o connOpt) MakeRedisClient() any { return o.client }

// ConnOpt lets asynq use one of our clients, with our hooks, retries and TLS. asynq
// closes that client together with the server, inspector or asynqmon handler that
// received it: pass a separate client to each.
func ConnOpt(client redis.UniversalClient) asynq.RedisConnOpt { return connOpt{client} }
