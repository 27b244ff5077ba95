// Package redisdb turns a description of a Redis, single, behind Sentinel or a
// Cluster, into a client of it, with errors that never repeat a password.
//
// It must not know what is kept in Redis, nor where the description came from.
package redisdb

import (
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

// Config says which Redis, and how. Exactly one of URL, Sentinel and Cluster is
// set; what the others say holds for all three.
type Config struct {
	// URL has one of the forms redis://, rediss://, unix://, redis+sentinel://,
	// rediss+sentinel://, redis+cluster:// and rediss+cluster://; docs/redis.md
	// describes them. It takes go-redis' options in its query, e.g.
	// ?pool_size=50&read_timeout=3s
	// (https://pkg.go.dev/github.com/redis/go-redis/v9#ParseURL).
	URL secret.Text
	// Sentinel: a master that Sentinels watch. Zero value: none.
	Sentinel Sentinel
	// Cluster: a Redis Cluster. Zero value: none.
	Cluster Cluster

	// Username and Password of the ACL user at the Redis servers. They go
	// before those of the URL. Empty: those of the URL, or the default user.
	Username string
	Password secret.Text
	// TLS of all connections, those to Sentinels too. nil: none, unless the URL
	// begins with rediss.
	TLS *TLS
	// ClientName is what CLIENT LIST shows for our connections. Empty: the URL's
	// client_name, or "rollcall".
	ClientName string
}

// Sentinel names a master and who watches it.
type Sentinel struct {
	Master    string   // the name the Sentinels have for it
	Addresses []string // host:port of one or more Sentinels
	// Of the Sentinels themselves. Empty: they ask for none.
	Username string
	Password secret.Text
}

// Cluster names nodes of a Redis Cluster; the others are learned from them.
type Cluster struct{ Addresses []string } // host:port of one or more nodes

func (s Sentinel) isZero() bool {
	return s.Master == "" && len(s.Addresses) == 0 && s.Username == "" && s.Password.IsZero()
}

// Open returns a client of the Redis at address, which has one of the forms of
// [Config.URL]. It does not connect: the first command does. The caller closes it.
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
	return New(options), nil
}

// Options returns what a client is made of, for those that change a part of
// it first: how often a command is repeated, or how many connections there are.
// It reads the files of TLS. On an error nothing is returned, and the error
// holds no secret.
func (c Config) Options() (*redis.UniversalOptions, error) {
	o, err := c.place()
	if err != nil {
		return nil, err
	}
	if c.Username != "" || !c.Password.IsZero() {
		o.Username, o.Password = c.Username, c.Password.Reveal()
	}
	if c.ClientName != "" {
		o.ClientName = c.ClientName
	}
	if o.ClientName == "" {
		o.ClientName = "rollcall"
	}
	if c.TLS != nil {
		if o.TLSConfig, err = c.TLS.config(o.TLSConfig); err != nil {
			return nil, err
		}
	}
	// Without it a deadline of the caller would not reach the socket.
	o.ContextTimeoutEnabled = true
	// A hosted Redis alone sends these; asking costs every new connection a
	// round trip, and every client goroutines that outlive a test.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// place says where Redis is, by whichever field names it.
func (c Config) place() (*redis.UniversalOptions, error) {
	sentinel, cluster := !c.Sentinel.isZero(), len(c.Cluster.Addresses) > 0
	switch {
	case sentinel && cluster, !c.URL.IsZero() && (sentinel || cluster):
		return nil, errors.New("redis: more than one of url, sentinel and cluster is given: keep the one that it is")
	case sentinel:
		return c.Sentinel.options()
	case cluster:
		return c.Cluster.options()
	}
	return parse(c.URL.Reveal())
}

func (s Sentinel) options() (*redis.UniversalOptions, error) {
	if s.Master == "" {
		return nil, errors.New("redis: sentinel: the master's name is missing: give the one that the Sentinels' sentinel monitor line has")
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
	// One address is enough to find the rest, and would be taken for a single
	// server without the mark.
	return &redis.UniversalOptions{Addrs: slices.Clone(c.Addresses), IsClusterMode: true}, nil
}

func checkAddresses(what string, addresses []string) error {
	if len(addresses) == 0 {
		return fmt.Errorf("redis: %s: there are no addresses: give host:port of one or more", what)
	}
	for _, a := range addresses {
		// An address with an @ would be a URL, password and all.
		if strings.Contains(a, "@") {
			return fmt.Errorf("redis: %s: an address holds an @ (it is not shown, it may hold a password): give host:port, and the user apart", what)
		}
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("redis: %s: address %q is not host:port", what, a)
		}
	}
	return nil
}

// connOpt is how asynq asks for a client.
type connOpt struct{ client redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (o connOpt) MakeRedisClient() any { return o.client }

// ConnOpt lets asynq use a client that we made, with our hooks, retries and
// TLS. asynq closes that client with the server, inspector or asynqmon handler
// that got it: give each a client of its own.
func ConnOpt(client redis.UniversalClient) asynq.RedisConnOpt { return connOpt{client} }
