package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
)

const (
	// masterName is how the Sentinels know the master.
	masterName = "harbour"
	masters    = 3
	slots      = 16384
	// busOffset is where the bus of a cluster's node is: its port and so many.
	busOffset = 10_000
	// silence, in milliseconds, is how long a server may be silent before it counts
	// as down.
	silence = "1500"
)

// part keeps a replica from what its master writes from now on, as a network
// that lags does: what is acknowledged meanwhile is lost with the master.
func part(ctx context.Context, master, replica *node) error {
	err := replica.ask(func(c *redis.Client) error { return c.ConfigSet(ctx, "masterauth", "no longer valid").Err() })
	if err != nil {
		return err
	}
	return master.ask(func(c *redis.Client) error { return c.ClientKillByFilter(ctx, "TYPE", "replica").Err() })
}

// rejoin lets a server that was parted follow others again.
func rejoin(ctx context.Context, n *node) error {
	return n.ask(func(c *redis.Client) error { return c.ConfigSet(ctx, "masterauth", "").Err() })
}

// inStep tells whether a server is a replica that receives what its master writes.
func inStep(ctx context.Context, n *node) error {
	info, err := n.info(ctx, "replication")
	if err == nil && !(role(info) == "slave" && strings.Contains(info, "master_link_status:up")) {
		err = fmt.Errorf("%s is no replica in step", n.addr)
	}
	return err
}

// lag parts a replica, lets the master go on alone for a moment, and kills it.
func lag(ctx context.Context, r *rand.Rand, master, replica *node) (time.Duration, error) {
	if err := part(ctx, master, replica); err != nil {
		return 0, err
	}
	alone := between(r, 200*time.Millisecond, time.Second)
	pause(ctx, alone)
	master.child.kill()
	return alone, nil
}

// openSentinel starts a master, a replica and three Sentinels.
func (s *servers) openSentinel(ctx context.Context) error {
	ports, err := freePorts(5, 0)
	if err != nil {
		return err
	}
	first, err := s.add("redis-1", ports[0])
	if err != nil {
		return err
	}
	if err := eventually(ctx, "a master", first.ready); err != nil {
		return err
	}
	second, err := s.add("redis-2", ports[1], "--replicaof", loopback+" "+ports[0])
	if err != nil {
		return err
	}
	var addresses []string
	for _, port := range ports[2:] {
		if err := s.watch(first, port, ports[0]); err != nil {
			return err
		}
		addresses = append(addresses, loopback+":"+port)
	}
	if err := eventually(ctx, "a replica in step", func(ctx context.Context) error { return inStep(ctx, second) }); err != nil {
		return err
	}
	if err := eventually(ctx, "Sentinels that agree", s.quorum); err != nil {
		return err
	}
	s.place = redisdb.Config{Sentinel: redisdb.Sentinel{Master: masterName, Addresses: addresses}}
	s.section = fmt.Sprintf(`{sentinel: {master: %s, addresses: ["%s"]}}`, masterName, strings.Join(addresses, `", "`))
	s.every = time.Minute
	s.strike = s.failSentinel
	return nil
}

func (s *servers) watch(master *node, port, masterPort string) error {
	n := &node{binary: master.binary, dir: filepath.Join(s.dir, "sentinel-"+port), addr: loopback + ":" + port}
	if err := os.Mkdir(n.dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(n.dir, "sentinel.conf") // it writes into it
	text := strings.Join([]string{
		"bind " + loopback, "port " + port, "dir " + n.dir, "daemonize no",
		"sentinel monitor " + masterName + " " + loopback + " " + masterPort + " 2",
		"sentinel down-after-milliseconds " + masterName + " " + silence,
		"sentinel failover-timeout " + masterName + " 3000", "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	n.arguments = []string{file, "--sentinel"}
	s.others = append(s.others, n)
	return n.start()
}

func (n *node) asSentinel(f func(*redis.SentinelClient) error) error {
	client := redis.NewSentinelClient(&redis.Options{Addr: n.addr, ContextTimeoutEnabled: true})
	return errors.Join(f(client), client.Close())
}

// quorum tells whether the Sentinels could carry out a failover now.
func (s *servers) quorum(ctx context.Context) error {
	for _, n := range s.others {
		err := n.asSentinel(func(c *redis.SentinelClient) error {
			if err := c.CkQuorum(ctx, masterName).Err(); err != nil {
				return err
			}
			replicas, err := c.Replicas(ctx, masterName).Result()
			if err == nil && (len(replicas) != 1 || replicas[0]["flags"] != "slave" || replicas[0]["master-link-status"] != "ok") {
				err = fmt.Errorf("replicas: %v", replicas)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named is the server that a Sentinel says is the master.
func (s *servers) named(ctx context.Context, watcher *node) (*node, error) {
	var address string
	err := watcher.asSentinel(func(c *redis.SentinelClient) error {
		parts, err := c.GetMasterAddrByName(ctx, masterName).Result()
		address = strings.Join(parts, ":")
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.at(address)
}

func (s *servers) at(address string) (*node, error) {
	for _, n := range s.nodes {
		if n.addr == address {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s is none of our servers", address)
}

func (s *servers) failSentinel(ctx context.Context, r *rand.Rand) (string, error) {
	const did = "killed the master"
	master, err := s.named(ctx, s.others[0])
	if err != nil {
		return did, err
	}
	heir := s.nodes[0]
	if heir == master {
		heir = s.nodes[1]
	}
	alone, err := lag(ctx, r, master, heir)
	if err != nil {
		return did, err
	}
	err = eventually(ctx, "another master", func(ctx context.Context) error {
		for _, watcher := range s.others {
			now, err := s.named(ctx, watcher)
			if err != nil {
				return err
			}
			if now != heir {
				return fmt.Errorf("%s is still said to be the master", now.addr)
			}
		}
		info, err := heir.info(ctx, "replication")
		if err == nil && role(info) != "master" {
			err = fmt.Errorf("%s is no master yet", heir.addr)
		}
		return err
	})
	if err == nil {
		err = rejoin(ctx, heir)
	}
	if err == nil {
		err = master.start("--replicaof", strings.ReplaceAll(heir.addr, ":", " "))
	}
	if err == nil {
		err = eventually(ctx, "the old master as a replica", func(ctx context.Context) error {
			return errors.Join(inStep(ctx, master), s.quorum(ctx))
		})
	}
	return fmt.Sprintf("%s, whose replica was %s behind", did, alone.Round(time.Millisecond)), err
}

// openCluster starts three masters with a replica each.
func (s *servers) openCluster(ctx context.Context) error {
	ports, err := freePorts(2*masters, busOffset)
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
	s.place = redisdb.Config{Cluster: redisdb.Cluster{Addresses: addresses}}
	s.section = fmt.Sprintf(`{cluster: {addresses: ["%s"]}}`, strings.Join(addresses, `", "`))
	s.every = time.Minute
	s.strike = s.failCluster
	return eventually(ctx, "a cluster that is up", s.up)
}

// join shares the slots among the first nodes, introduces each to each, and
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

// up tells whether all slots are served and each master has a replica in step.
func (s *servers) up(ctx context.Context) error {
	leading := 0
	for _, n := range s.nodes {
		err := n.ask(func(c *redis.Client) error {
			info, err := c.ClusterInfo(ctx).Result()
			if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_slots_assigned:%d", slots))) {
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
		info, err := n.info(ctx, "replication")
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
		info, err := n.info(ctx, "replication")
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
		info, err := heir.info(ctx, "replication")
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
