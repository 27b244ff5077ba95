package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Deployment is real servers in one of the topologies, empty at first, gone
// when the test ends. Each knows the ACL user of docs/redis.md and lets nobody
// else in, and when the test ends none of them may have refused that user
// anything.
type Deployment struct {
	Name string // single, sentinel, cluster or tls
	URL  string // as redisdb.Open and ROLLCALL_REDIS_URL take it, user and password included
	// Section is the redis: section of the worker's configuration, in YAML's
	// flow style. It reads the passwords from the environment that Env lists.
	Section string
	Env     map[string]string

	options redis.UniversalOptions
	nodes   []*node // data nodes, not Sentinels
	handed  []redis.UniversalClient
	fail    func(t *testing.T, key string)
}

// node is one redis-server with data.
type node struct {
	*process
	addr string
}

// EachTopology runs test on a single server, behind Sentinel and on a Cluster,
// as parallel subtests with those names. Under -short only on the single server.
func EachTopology(t *testing.T, test func(t *testing.T, d *Deployment)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) *Deployment{"single": Single, "sentinel": Sentinel, "cluster": Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// Single starts one server.
func Single(t *testing.T) *Deployment {
	t.Helper()
	d := &Deployment{Name: "single", Env: map[string]string{"REDIS_PASSWORD": Password}}
	binary := lookUp(t)
	d.build(t, func() error {
		ports, err := freePorts(1, 0)
		if err != nil {
			return err
		}
		return d.start(binary, t.TempDir(), ports[0])
	})
	d.options = redis.UniversalOptions{Addrs: []string{d.nodes[0].addr}, Username: User, Password: Password}
	d.URL = "redis://" + User + ":" + Password + "@" + d.nodes[0].addr + "/0"
	d.Section = fmt.Sprintf("{url: %q, username: %s, password: {env: REDIS_PASSWORD}}", "redis://"+d.nodes[0].addr+"/0", User)
	return d
}

// Client returns a client as the user of docs/redis.md, closed when the test ends.
// Not for goroutines beside the test's own.
func (d *Deployment) Client(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := redis.NewUniversalClient(d.Options())
	d.handed = append(d.handed, client)
	return closing(t, client)
}

// Options returns what such a client is made of, the caller's own to change.
func (d *Deployment) Options() *redis.UniversalOptions {
	options := d.options
	options.TLSConfig = options.TLSConfig.Clone()
	return &options
}

// FailOver kills the master that holds key, with everything that it has not
// replicated yet, and returns when a replica has taken its place. It can be
// done once for each master, and not to a single server.
func (d *Deployment) FailOver(t *testing.T, key string) {
	t.Helper()
	if d.fail == nil {
		t.Fatalf("redistest: a deployment of kind %s has nobody to take over", d.Name)
	}
	d.fail(t, key)
	for _, client := range d.handed {
		// By itself it would ask the dead master for up to a minute.
		if cluster, ok := client.(*redis.ClusterClient); ok {
			cluster.ReloadState(t.Context())
		}
	}
}

// build starts the servers, and others on other ports if one does not start.
func (d *Deployment) build(t *testing.T, servers func() error) {
	t.Helper()
	t.Cleanup(func() {
		d.wantNoDenials(t)
		d.stop()
	})
	retry(t, func() error {
		err := servers()
		if err != nil {
			d.stop()
		}
		return err
	})
}

func (d *Deployment) stop() {
	for _, n := range d.nodes {
		n.stop()
	}
	d.nodes = nil
}

// start adds a data node that has settings beside those that all have.
func (d *Deployment) start(binary, dir, port string, settings ...string) error {
	file := filepath.Join(dir, "redis.conf")
	all := append([]string{
		"bind " + loopback, "port " + port, "dir " + dir, "daemonize no", `save ""`, "appendonly no",
		"user default off resetpass ~* &* +@all",
		"user " + User + " on >" + Password + " " + Rules,
		// The test's own, and the servers' among each other.
		"user " + admin + " on >" + adminPassword + " ~* &* +@all",
		"masteruser " + admin, "masterauth " + adminPassword,
		"repl-diskless-sync yes", "repl-diskless-sync-delay 0",
	}, settings...)
	if err := os.WriteFile(file, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	p, err := launch(binary, "eady to accept connections", file)
	if err != nil {
		return err
	}
	for _, setting := range settings {
		if tls, found := strings.CutPrefix(setting, "tls-port "); found {
			port = tls
		}
	}
	d.nodes = append(d.nodes, &node{process: p, addr: addr(port)})
	return nil
}

// live are the nodes that were not killed.
func (d *Deployment) live() []*node {
	var live []*node
	for _, n := range d.nodes {
		select {
		case <-n.gone:
		default:
			live = append(live, n)
		}
	}
	return live
}

func (d *Deployment) node(address string) *node {
	for _, n := range d.live() {
		if n.addr == address {
			return n
		}
	}
	return nil
}

// as runs f with a client of one node as the test's own user.
func (d *Deployment) as(n *node, f func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{
		Addr: n.addr, Username: admin, Password: adminPassword,
		TLSConfig: d.options.TLSConfig.Clone(), ContextTimeoutEnabled: true,
	})
	return errors.Join(f(client), client.Close())
}

func closing(t *testing.T, client redis.UniversalClient) redis.UniversalClient {
	t.Helper()
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("redistest: close the client: %v", err)
		}
	})
	return client
}

// linked tells whether a replica has caught up with its master once.
func (d *Deployment) linked(ctx context.Context, n *node) error {
	return d.as(n, func(c *redis.Client) error {
		info, err := c.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "role:slave") || !strings.Contains(info, "master_link_status:up") {
			return fmt.Errorf("%s is no replica in step: %s", n.addr, info)
		}
		return nil
	})
}

// Settle returns when the replicas hold what was written before. Without it a
// failover loses what had not been replicated, as it may.
func (d *Deployment) Settle(t *testing.T) {
	t.Helper()
	for _, n := range d.live() {
		var written int64
		eventually(t, "replicas in step with "+n.addr, func(ctx context.Context) error {
			return d.as(n, func(c *redis.Client) error {
				info, err := c.Info(ctx, "replication").Result()
				if err != nil || !strings.Contains(info, "role:master") || strings.Contains(info, "connected_slaves:0") {
					return err
				}
				if written == 0 {
					written = offset(info, "master_repl_offset:")
				}
				if at := offset(info, ",offset="); at < written {
					return fmt.Errorf("the replica is at %d of %d", at, written)
				}
				return nil
			})
		})
	}
}

// offset reads the number behind a mark in what INFO says; 0 for none.
func offset(info, mark string) (n int64) {
	if _, rest, found := strings.Cut(info, mark); found {
		_, _ = fmt.Sscan(strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == '\r' })[0], &n)
	}
	return n
}

// Part keeps the replicas from receiving what is written from now on, as a
// network that lags does: FailOver then loses it for certain.
func (d *Deployment) Part(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var masters []*node
	for _, n := range d.live() {
		err := d.as(n, func(c *redis.Client) error {
			info, err := c.Info(ctx, "replication").Result()
			if err != nil || strings.Contains(info, "role:master") {
				masters = append(masters, n)
				return err
			}
			return c.ConfigSet(ctx, "masterauth", "no longer valid").Err()
		})
		if err != nil {
			t.Fatalf("redistest: part %s: %v", n.addr, err)
		}
	}
	for _, n := range masters {
		if err := d.as(n, func(c *redis.Client) error { return c.ClientKillByFilter(ctx, "type", "replica").Err() }); err != nil {
			t.Fatalf("redistest: part the replicas of %s: %v", n.addr, err)
		}
	}
}

// Together tells whether two keys lie on one master.
func (d *Deployment) Together(t *testing.T, one, other string) bool {
	t.Helper()
	if d.Name != "cluster" {
		return true
	}
	var holders [2]string
	for i, key := range []string{one, other} {
		err := d.as(d.live()[0], func(c *redis.Client) (err error) {
			holders[i], err = holderOf(t.Context(), c, key)
			return err
		})
		if err != nil {
			t.Fatalf("redistest: who holds %s: %v", key, err)
		}
	}
	return holders[0] == holders[1]
}
