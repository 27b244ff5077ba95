package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/subprocess"
)

// openCluster starts three masters with a replica each.
func (s *servers) openCluster(ctx context.Context) error {
	ports, err := subprocess.Ports(ctx, 2*masters, busOffset)
	if err != nil {
		return err
	}
	var addresses []string
	for i, port := range ports {
		n, err := s.add(fmt.Sprintf("redis-%d", i+1), port, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", silence, "--cluster-replica-validity-factor", "0")
		if err != nil {
			return err
		}
		if err := eventually(ctx, "a node that answers", n.ready); err != nil {
			return err
		}
		if i < masters {
			addresses = append(addresses, n.addr)
		}
	}
	if err := s.join(ctx); err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	s.spot = redisdb.Config{Cluster: redisdb.Cluster{Addresses: addresses}}
	s.section = fmt.Sprintf(`{cluster: {addresses: ["%s"]}}`, strings.Join(addresses, `", "`))
	s.every = time.Minute
	s.strike = s.failCluster
	return eventually(ctx, "a cluster that is up", s.up)
}

// join assigns the slots to the first nodes, introduces all nodes to each other, and
// gives each master a replica.
func (s *servers) join(ctx context.Context) error {
	ids := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		err := n.ask(func(c *redis.Client) (err error) {
			if err := c.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
				return err
			}
			if i < masters {
				if err := c.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
					return err
				}
			}
			for _, other := range s.nodes[:i] {
				host, port, _ := strings.Cut(other.addr, ":")
				if err := c.ClusterMeet(ctx, host, port).Err(); err != nil {
					return err
				}
			}
			ids[i], err = c.ClusterMyID(ctx).Result()
			return err
		})
		if err != nil {
			return err
		}
	}
	for i, n := range s.nodes[masters:] {
		err := eventually(ctx, "a node that knows its master", func(ctx context.Context) error {
			return n.ask(func(c *redis.Client) error { return c.ClusterReplicate(ctx, ids[i]).Err() })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// up returns nil if all slots are served and each master has a replica in sync.
func (s *servers) up(ctx context.Context) error {
	leading := 0
	for _, n := range s.nodes {
		err := n.ask(func(c *redis.Client) error {
			info, err := c.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_slots_assigned:%d", slots))) {
				err = errors.New(info)
			}
			if err != nil {
				return err
			}
			nodes, err := c.ClusterNodes(ctx).Result()
			if err == nil && (strings.Count(nodes, "slave ") != masters || strings.Contains(nodes, "fail")) {
				err = fmt.Errorf("as %s sees it: %s", n.addr, nodes)
			}
			return err
		})
		if err != nil {
			return err
		}
		info, err := n.replication(ctx)
		switch {
		case err != nil:
			return err
		case role(info) == "master" && strings.Contains(info, "state=online"):
			leading++
		default:
			if err := inStep(ctx, n); err != nil {
				return err
			}
		}
	}
	if leading != masters {
		return fmt.Errorf("%d masters have replicas", leading)
	}
	return nil
}

// failCluster kills one of the masters.
func (s *servers) failCluster(ctx context.Context, r *rand.Rand) (string, error) {
	const did = "killed a master of the cluster"
	var pairs [][2]*node
	for _, n := range s.nodes {
		info, err := n.replication(ctx)
		if err != nil {
			return did, err
		}
		if _, rest, follows := strings.Cut(info, "master_port:"); follows {
			port, _, _ := strings.Cut(rest, "\r\n")
			master, err := s.at(loopback + ":" + port)
			if err != nil {
				return did, err
			}
			pairs = append(pairs, [2]*node{master, n})
		}
	}
	if len(pairs) == 0 {
		return did, errors.New("no replica follows anybody")
	}
	pair := pairs[r.IntN(len(pairs))]
	master, heir := pair[0], pair[1]
	alone, err := lag(ctx, r, master, heir)
	if err != nil {
		return did, err
	}
	err = eventually(ctx, "another master", func(ctx context.Context) error {
		info, err := heir.replication(ctx)
		if err == nil && role(info) != "master" {
			err = fmt.Errorf("%s is no master yet", heir.addr)
		}
		return err
	})
	if err == nil {
		err = rejoin(ctx, heir)
	}
	if err == nil {
		err = master.start()
	}
	if err == nil {
		err = eventually(ctx, "a cluster that is up again", s.up)
	}
	return fmt.Sprintf("%s, whose replica was %s behind", did, alone.Round(time.Millisecond)), err
}
