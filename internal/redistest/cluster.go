package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
	// busOffset is the distance from a node's port to its bus port.
	busOffset = 10000
	// nodeTimeout, in milliseconds, is how long a node may be silent. A shorter one
	// fails over sooner, but also by mistake on a loaded machine.
	nodeTimeout = "1500"
)

// Cluster starts three masters with one replica each. Under -short it skips the test.
func Cluster(t *testing.T) *Deployment {
	t.Helper()
	if testing.Short() {
		t.Skip("six servers take seconds to agree: make test-long")
	}
	d := newDeployment(t, "cluster")
	d.build(t, 2*masters, busOffset, func(ports []string) error {
		for _, port := range ports {
			err := d.start(t.TempDir(), port, "cluster-enabled yes", "cluster-config-file nodes.conf",
				"cluster-node-timeout "+nodeTimeout, "cluster-replica-validity-factor 0")
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := d.join(t.Context()); err != nil {
		t.Fatalf("redistest: make a cluster: %v", err)
	}
	eventually(t, "nodes to know each other", func(ctx context.Context) error {
		return d.every(func(c *redis.Client) error {
			nodes, err := c.ClusterNodes(ctx).Result()
			if err == nil && (strings.Count(nodes, "\n") != 2*masters || strings.Contains(nodes, "handshake")) {
				err = fmt.Errorf("some nodes have not met:\n%s", nodes)
			}
			return err
		})
	})
	if err := d.replicate(t.Context()); err != nil {
		t.Fatalf("redistest: give the masters replicas: %v", err)
	}
	eventually(t, "the cluster to be up", d.up)

	addrs := addrsOf(d.nodes[:masters])
	d.options.Addrs, d.options.IsClusterMode = addrs, true
	d.URL = fmt.Sprintf("redis+cluster://%s:%s@%s", User, Password, strings.Join(addrs, ","))
	d.Section = fmt.Sprintf("{cluster: {addresses: [%s]}, username: %s, password: {env: REDIS_PASSWORD}}", quoted(addrs), User)
	d.fail = d.failCluster
	return d
}

// join assigns the slots to the first nodes and introduces all nodes to each other,
// which is faster than waiting for gossip.
func (d *Deployment) join(ctx context.Context) error {
	for i, n := range d.nodes {
		err := d.as(n, func(c *redis.Client) error {
			// Distinct epochs from the start: the nodes would otherwise need time to
			// resolve the conflict.
			if err := c.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
				return err
			}
			if i < masters {
				if err := c.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
					return err
				}
			}
			for _, other := range d.nodes[:i] {
				host, port, _ := net.SplitHostPort(other.addr)
				if err := c.ClusterMeet(ctx, host, port).Err(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replicate makes the last nodes replicas of the first.
func (d *Deployment) replicate(ctx context.Context) error {
	for i, n := range d.nodes[masters:] {
		var id string
		err := d.as(d.nodes[i], func(c *redis.Client) (err error) {
			id, err = c.ClusterMyID(ctx).Result()
			return err
		})
		if err != nil {
			return err
		}
		if err := d.as(n, func(c *redis.Client) error { return c.ClusterReplicate(ctx, id).Err() }); err != nil {
			return err
		}
	}
	return nil
}

// up returns nil if all slots are served and all replicas are in sync, as every node
// sees it.
func (d *Deployment) up(ctx context.Context) error {
	for _, n := range d.nodes[masters:] {
		if err := d.linked(ctx, n); err != nil {
			return err
		}
	}
	return d.every(func(c *redis.Client) error {
		if err := stateOK(ctx, c); err != nil {
			return err
		}
		nodes, err := c.ClusterNodes(ctx).Result()
		if err == nil && strings.Count(nodes, "slave ") != masters {
			err = fmt.Errorf("some replicas are unknown:\n%s", nodes)
		}
		return err
	})
}

func stateOK(ctx context.Context, c *redis.Client) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_slots_assigned:%d", slots))) {
		err = errors.New(info)
	}
	return err
}

func (d *Deployment) failCluster(t *testing.T, key string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var holder string
	err := d.as(d.live()[0], func(c *redis.Client) (err error) {
		holder, err = holderOf(ctx, c, key)
		return err
	})
	master := d.node(holder)
	if err != nil || master == nil {
		t.Fatalf("redistest: the master of %s is %q, which is not a live server: %v", key, holder, err)
	}
	master.Kill()
	within(t, takeOverBound, "another master for "+key, func(ctx context.Context) error {
		return d.every(func(c *redis.Client) error {
			if err := stateOK(ctx, c); err != nil {
				return err
			}
			now, err := holderOf(ctx, c, key)
			if err == nil && d.node(now) == nil {
				err = fmt.Errorf("%s is still listed as its master", now)
			}
			return err
		})
	})
}

// holderOf returns the address of key's master as one node sees it.
func holderOf(ctx context.Context, c *redis.Client, key string) (string, error) {
	slot, err := c.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return "", err
	}
	nodes, err := c.ClusterNodes(ctx).Result()
	if err != nil {
		return "", err
	}
	// <id> <host:port@bus> <flags> <master> <ping> <pong> <epoch> <link> <slots…>
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		for _, held := range fields[min(8, len(fields)):] {
			first, last, _ := strings.Cut(held, "-")
			from, errFrom := strconv.ParseInt(first, 10, 64)
			to, errTo := strconv.ParseInt(last, 10, 64)
			if errFrom == nil && errTo == nil && from <= slot && slot <= to {
				holder, _, _ := strings.Cut(fields[1], "@")
				return holder, nil
			}
		}
	}
	return "", fmt.Errorf("no node has slot %d", slot)
}
