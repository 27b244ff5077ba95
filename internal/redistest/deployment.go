package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/subprocess"

	"github.com/redis/go-redis/v9"
)

// Deployment is real servers in one of the topologies. It starts empty and ends with
// the test. Each server has the ACL users of docs/redis.md and accepts no other user.
// When the test ends, no server may have refused them anything.
type Deployment struct {
	Name string // single, sentinel, cluster or tls
	URL  string // for redisdb.Open and ROLLCALL_REDIS_URL, with user and password
	// Section is the redis: section of the worker's configuration, in YAML's flow
	// style. Its passwords come from the environment variables in Env.
	Section string
	Env     map[string]string

	binary    string // redis-server
	options   redis.UniversalOptions
	nodes     []*node // with data
	sentinels []*node
	handed    []redis.UniversalClient
	fail      func(t *testing.T, key string)
}

// node is one redis-server.
type node struct {
	*subprocess.Process
	addr string
}

// EachTopology runs test on a single server, with Sentinel and on a Cluster, as
// parallel subtests with those names. Under -short it uses only the single server.
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
	d := newDeployment(t, "single")
	d.build(t, 1, 0, func(ports []string) error { return d.start(t.TempDir(), ports[0]) })
	d.options.Addrs = []string{d.nodes[0].addr}
	d.URL = "redis://" + User + ":" + Password + "@" + d.nodes[0].addr + "/0"
	d.Section = fmt.Sprintf("{url: %q, username: %s, password: {env: REDIS_PASSWORD}}", "redis://"+d.nodes[0].addr+"/0", User)
	return d
}

// newDeployment looks for redis-server. It starts nothing.
func newDeployment(t *testing.T, name string) *Deployment {
	t.Helper()
	return &Deployment{
		Name: name, Env: map[string]string{"REDIS_PASSWORD": Password}, binary: lookUp(t),
		options: redis.UniversalOptions{Username: User, Password: Password},
	}
}

// Client returns a client with the user of docs/redis.md, closed when the test ends.
// Call it only from the test's own goroutine.
func (d *Deployment) Client(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := redis.NewUniversalClient(d.Options())
	d.handed = append(d.handed, client)
	return closing(t, client)
}

// Options returns the options of such a client; the caller may change them.
func (d *Deployment) Options() *redis.UniversalOptions {
	options := d.options
	options.TLSConfig = options.TLSConfig.Clone()
	options.DisableIdentity = true // as of redisdb
	return &options
}

// FailOver kills the master of key, with everything that it has not replicated yet, and
// returns when a replica has taken over. It works once for each master, and not with a
// single server.
func (d *Deployment) FailOver(t *testing.T, key string) {
	t.Helper()
	if d.fail == nil {
		t.Fatalf("redistest: a deployment of kind %s has no replica", d.Name)
	}
	d.fail(t, key)
	for _, client := range d.handed {
		// Without this the client would use the dead master for up to a minute.
		if cluster, ok := client.(*redis.ClusterClient); ok {
			cluster.ReloadState(t.Context())
		}
	}
}

// build starts the servers on n ports, and again on others if one does not start.
func (d *Deployment) build(t *testing.T, n, offset int, servers func(ports []string) error) {
	t.Helper()
	t.Cleanup(func() {
		d.wantNoDenials(t)
		d.stop()
	})
	retry(t, n, offset, func(ports []string) error {
		err := servers(ports)
		if err != nil {
			d.stop()
		}
		return err
	})
}

func (d *Deployment) stop() {
	for _, n := range slices.Concat(d.nodes, d.sentinels) {
		n.Kill()
	}
	d.nodes, d.sentinels = nil, nil
}

// serve starts a redis-server at a port, 0 for none, with settings in its configuration.
func (d *Deployment) serve(dir, port, ready string, settings []string, args ...string) (*node, error) {
	file := filepath.Join(dir, "redis.conf") // a Sentinel writes into it
	all := append([]string{"bind " + loopback, "port " + port, "dir " + dir, "daemonize no"}, settings...)
	if err := os.WriteFile(file, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	p, err := subprocess.Start(subprocess.Command{Program: d.binary, Args: append([]string{file}, args...), Ready: ready})
	if err != nil {
		return nil, err
	}
	return &node{Process: p, addr: addr(port)}, nil
}

// start adds a data node with settings in addition to the common ones.
func (d *Deployment) start(dir, port string, settings ...string) error {
	n, err := d.serve(dir, port, subprocess.RedisReady, append([]string{
		`save ""`, "appendonly no",
		"user default off resetpass ~* &* +@all",
		"user " + User + " on >" + Password + " " + Rules,
		"user " + Producer + " on >" + ProducerPassword + " " + ProducerRules,
		// The user of the test itself, and of the servers among each other.
		"user " + admin + " on >" + adminPassword + " ~* &* +@all",
		"masteruser " + admin, "masterauth " + adminPassword,
		"repl-diskless-sync yes", "repl-diskless-sync-delay 0",
	}, settings...))
	if err != nil {
		return err
	}
	d.nodes = append(d.nodes, n)
	return nil
}

// live returns the nodes that were not killed.
func (d *Deployment) live() []*node {
	var live []*node
	for _, n := range d.nodes {
		select {
		case <-n.Ended():
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

// as runs f with a client of one node, as the test's own user.
func (d *Deployment) as(n *node, f func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{
		Addr: n.addr, Username: admin, Password: adminPassword,
		TLSConfig: d.options.TLSConfig.Clone(), ContextTimeoutEnabled: true,
	})
	return errors.Join(f(client), client.Close())
}

// every calls f for each live node.
func (d *Deployment) every(f func(*redis.Client) error) error {
	for _, n := range d.live() {
		if err := d.as(n, f); err != nil {
			return fmt.Errorf("%s: %w", n.addr, err)
		}
	}
	return nil
}

// must calls f for each live node, and ends the test if one fails.
func (d *Deployment) must(t *testing.T, what string, f func(*redis.Client) error) {
	t.Helper()
	if err := d.every(f); err != nil {
		t.Fatalf("redistest: %s: %v", what, err)
	}
}

func addrsOf(nodes []*node) []string {
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.addr
	}
	return addrs
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

// linked returns nil if a replica is in sync with its master.
func (d *Deployment) linked(ctx context.Context, n *node) error {
	return d.as(n, func(c *redis.Client) error {
		info, err := c.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "role:slave") || !strings.Contains(info, "master_link_status:up") {
			return fmt.Errorf("%s is not a replica in sync: %s", n.addr, info)
		}
		return nil
	})
}

// Settle returns when the replicas have everything that was written before. Without it
// a failover may lose writes that were not replicated.
func (d *Deployment) Settle(t *testing.T) {
	t.Helper()
	for _, n := range d.live() {
		var written int64
		eventually(t, "replicas in sync with "+n.addr, func(ctx context.Context) error {
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

// offset reads the number after a mark in the output of INFO; 0 if there is none.
func offset(info, attribute string) (n int64) {
	if _, rest, found := strings.Cut(info, attribute); found {
		_, _ = fmt.Sscan(strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == '\r' })[0], &n)
	}
	return n
}

// Part stops the replication of everything that is written from now on, as a slow
// network does: FailOver then certainly loses it.
func (d *Deployment) Part(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	d.must(t, "change the password of replicas", func(c *redis.Client) error {
		info, err := c.Info(ctx, "replication").Result()
		if err != nil || strings.Contains(info, "role:master") {
			return err
		}
		return c.ConfigSet(ctx, "masterauth", "no longer valid").Err()
	})
	d.must(t, "end the connections of replicas", func(c *redis.Client) error { return c.ClientKillByFilter(ctx, "type", "replica").Err() })
}

// Together reports whether two keys are on one master.
func (d *Deployment) Together(t *testing.T, one, other string) bool {
	t.Helper()
	if d.Name != "cluster" {
		return true
	}
	var first, second string
	err := d.as(d.live()[0], func(c *redis.Client) (err error) {
		if first, err = holderOf(t.Context(), c, one); err != nil {
			return err
		}
		second, err = holderOf(t.Context(), c, other)
		return err
	})
	if err != nil {
		t.Fatalf("redistest: find the masters of %s and %s: %v", one, other, err)
	}
	return first == second
}
