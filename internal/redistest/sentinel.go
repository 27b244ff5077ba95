package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rollcall/internal/subprocess"

	"github.com/redis/go-redis/v9"
)

// Master is the name of the master at the Sentinels of a test.
const Master = "school"

// Sentinel starts a master, a replica and three Sentinels with a password of their own.
// Under -short it skips the test.
func Sentinel(t *testing.T) *Deployment {
	t.Helper()
	if testing.Short() {
		t.Skip("five servers take seconds to agree: make test-long")
	}
	d := newDeployment(t, "sentinel")
	d.Env["SENTINEL_PASSWORD"] = SentinelPassword
	d.build(t, 5, 0, func(ports []string) error {
		if err := d.start(t.TempDir(), ports[0]); err != nil {
			return err
		}
		if err := d.start(t.TempDir(), ports[1], "replicaof "+loopback+" "+ports[0]); err != nil {
			return err
		}
		for i := range 3 {
			if err := d.watch(t.TempDir(), ports, i); err != nil {
				return err
			}
		}
		return nil
	})
	eventually(t, "a replica in sync with its master", func(ctx context.Context) error { return d.linked(ctx, d.nodes[1]) })
	eventually(t, "Sentinels that know each other and the replica", d.agreed)

	addrs := addrsOf(d.sentinels)
	d.options.MasterName, d.options.Addrs, d.options.SentinelPassword = Master, addrs, SentinelPassword
	d.URL = fmt.Sprintf("redis+sentinel://%s:%s@%s/%s?sentinel_password=%s", User, Password, strings.Join(addrs, ","), Master, SentinelPassword)
	d.Section = fmt.Sprintf("{sentinel: {master: %s, addresses: [%s], password: {env: SENTINEL_PASSWORD}}, username: %s, password: {env: REDIS_PASSWORD}}",
		Master, quoted(addrs), User)
	d.fail = d.failSentinel
	return d
}

func quoted(addrs []string) string { return `"` + strings.Join(addrs, `", "`) + `"` }

// watch adds the i-th Sentinel. ports are those of master, replica and all Sentinels.
// Listing the others in its configuration saves some seconds of discovery.
func (d *Deployment) watch(dir string, ports []string, i int) error {
	id := func(i int) string { return strings.Repeat([]string{"a", "b", "c"}[i], 40) }
	settings := []string{
		"requirepass " + SentinelPassword, "sentinel sentinel-pass " + SentinelPassword,
		"sentinel myid " + id(i),
		"sentinel monitor " + Master + " " + loopback + " " + ports[0] + " 2",
		"sentinel auth-user " + Master + " " + admin, "sentinel auth-pass " + Master + " " + adminPassword,
		"sentinel down-after-milliseconds " + Master + " 1500",
		"sentinel failover-timeout " + Master + " 3000",
		"sentinel known-replica " + Master + " " + loopback + " " + ports[1],
	}
	for other := range 3 {
		if other != i {
			settings = append(settings, "sentinel known-sentinel "+Master+" "+loopback+" "+ports[2+other]+" "+id(other))
		}
	}
	n, err := d.serve(dir, ports[2+i], subprocess.SentinelReady, settings, "--sentinel")
	if err != nil {
		return err
	}
	d.sentinels = append(d.sentinels, n)
	return nil
}

// ask runs f with a client of a Sentinel.
func (s *node) ask(f func(*redis.SentinelClient) error) error {
	client := redis.NewSentinelClient(&redis.Options{Addr: s.addr, Password: SentinelPassword, ContextTimeoutEnabled: true})
	return errors.Join(f(client), client.Close())
}

// agreed returns nil if the Sentinels could carry out a failover now.
func (d *Deployment) agreed(ctx context.Context) error {
	for _, s := range d.sentinels {
		err := s.ask(func(c *redis.SentinelClient) error {
			if err := c.CkQuorum(ctx, Master).Err(); err != nil {
				return err
			}
			replicas, err := c.Replicas(ctx, Master).Result()
			if err != nil {
				return err
			}
			if len(replicas) != 1 || replicas[0]["flags"] != "slave" || replicas[0]["master-link-status"] != "ok" {
				return fmt.Errorf("replicas: %v", replicas)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("sentinel %s: %w", s.addr, err)
		}
	}
	return nil
}

func (d *Deployment) failSentinel(t *testing.T, _ string) {
	t.Helper()
	var before string
	eventually(t, "the master's address", func(ctx context.Context) (err error) {
		before, err = masterAddr(ctx, d.sentinels[0])
		return err
	})
	master := d.node(before)
	if master == nil {
		t.Fatalf("redistest: the master %s is not a live server", before)
	}
	master.Kill()
	within(t, takeOverBound, "another master", func(ctx context.Context) error {
		for _, s := range d.sentinels {
			now, err := masterAddr(ctx, s)
			if err != nil {
				return err
			}
			heir := d.node(now)
			if heir == nil {
				return fmt.Errorf("sentinel %s still names %s", s.addr, now)
			}
			err = d.as(heir, func(c *redis.Client) error {
				info, err := c.Info(ctx, "replication").Result()
				if err == nil && !strings.Contains(info, "role:master") {
					err = fmt.Errorf("%s is not a master yet", now)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func masterAddr(ctx context.Context, s *node) (string, error) {
	var address string
	err := s.ask(func(c *redis.SentinelClient) error {
		parts, err := c.GetMasterAddrByName(ctx, Master).Result()
		if err == nil && len(parts) == 2 {
			address = parts[0] + ":" + parts[1]
		}
		return err
	})
	return address, err
}
