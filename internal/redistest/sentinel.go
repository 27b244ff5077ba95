package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/subprocess"

	"github.com/redis/go-redis/v9"
)

// Master is the name of the master at the Sentinels of a test.
const Master = "school"

// sentinel is one of the three Sentinels.
type sentinel struct {
	*subprocess.Process
	addr string
}

// Sentinel starts a master, a replica and three Sentinels with a password of their own.
// Under -short it skips the test.
func Sentinel(t *testing.T) *Deployment {
	t.Helper()
	if testing.Short() {
		t.Skip("five servers take seconds to agree: make test-long")
	}
	binary := lookUp(t)
	d := &Deployment{Name: "sentinel", Env: map[string]string{"REDIS_PASSWORD": Password, "SENTINEL_PASSWORD": SentinelPassword}}
	var watchers []*sentinel
	t.Cleanup(func() {
		for _, s := range watchers {
			s.Kill()
		}
	})
	d.build(t, func() error {
		for _, s := range watchers {
			s.Kill()
		}
		watchers = nil
		ports, err := subprocess.Ports(t.Context(), 5, 0)
		if err != nil {
			return err
		}
		if err := d.start(binary, t.TempDir(), ports[0]); err != nil {
			return err
		}
		if err := d.start(binary, t.TempDir(), ports[1], "replicaof "+loopback+" "+ports[0]); err != nil {
			return err
		}
		for i := range 3 {
			s, err := watch(binary, t.TempDir(), ports, i)
			if err != nil {
				return err
			}
			watchers = append(watchers, s)
		}
		return nil
	})
	eventually(t, "a replica in sync with its master", func(ctx context.Context) error { return d.linked(ctx, d.nodes[1]) })
	eventually(t, "Sentinels that know each other and the replica", func(ctx context.Context) error { return agreed(ctx, watchers) })

	addrs := make([]string, len(watchers))
	for i, s := range watchers {
		addrs[i] = s.addr
	}
	d.options = redis.UniversalOptions{
		MasterName: Master, Addrs: addrs, SentinelPassword: SentinelPassword, Username: User, Password: Password,
	}
	d.URL = fmt.Sprintf("redis+sentinel://%s:%s@%s/%s?sentinel_password=%s", User, Password, strings.Join(addrs, ","), Master, SentinelPassword)
	d.Section = fmt.Sprintf("{sentinel: {master: %s, addresses: [%s], password: {env: SENTINEL_PASSWORD}}, username: %s, password: {env: REDIS_PASSWORD}}",
		Master, quoted(addrs), User)
	d.fail = func(t *testing.T, _ string) { d.failSentinel(t, watchers) }
	return d
}

func quoted(addrs []string) string { return `"` + strings.Join(addrs, `", "`) + `"` }

// watch starts the i-th Sentinel. ports are those of master, replica and all Sentinels.
// Listing the others in its configuration saves some seconds of discovery.
func watch(binary, dir string, ports []string, i int) (*sentinel, error) {
	id := func(i int) string { return strings.Repeat([]string{"a", "b", "c"}[i], 40) }
	settings := []string{
		"bind " + loopback, "port " + ports[2+i], "dir " + dir, "daemonize no",
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
	file := filepath.Join(dir, "sentinel.conf") // the Sentinel writes into it
	if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	p, err := subprocess.Start(subprocess.Command{Program: binary, Args: []string{file, "--sentinel"}, Ready: subprocess.SentinelReady})
	if err != nil {
		return nil, err
	}
	return &sentinel{Process: p, addr: addr(ports[2+i])}, nil
}

func (s *sentinel) ask(f func(*redis.SentinelClient) error) error {
	client := redis.NewSentinelClient(&redis.Options{Addr: s.addr, Password: SentinelPassword, ContextTimeoutEnabled: true})
	return errors.Join(f(client), client.Close())
}

// agreed returns nil if the Sentinels could carry out a failover now.
func agreed(ctx context.Context, watchers []*sentinel) error {
	for _, s := range watchers {
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

func (d *Deployment) failSentinel(t *testing.T, watchers []*sentinel) {
	t.Helper()
	var before string
	eventually(t, "the master's address", func(ctx context.Context) (err error) {
		before, err = masterAddr(ctx, watchers[0])
		return err
	})
	master := d.node(before)
	if master == nil {
		t.Fatalf("redistest: the master %s is not a live server", before)
	}
	master.Kill()
	within(t, takeOverBound, "another master", func(ctx context.Context) error {
		for _, s := range watchers {
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

func masterAddr(ctx context.Context, s *sentinel) (string, error) {
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
