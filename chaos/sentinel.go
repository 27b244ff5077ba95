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
	"rollcall/internal/subprocess"
)

// openSentinel starts a master, a replica and three Sentinels.
func (s *servers) openSentinel(ctx context.Context) error {
	ports, err := subprocess.Ports(ctx, 5, 0)
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
	s.spot = redisdb.Config{Sentinel: redisdb.Sentinel{Master: masterName, Addresses: addresses}}
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

// quorum returns nil if the Sentinels could carry out a failover now.
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

// named returns the server that a Sentinel reports as the master.
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
		err = master.start("--replicaof", strings.ReplaceAll(heir.addr, ":", " "))
	}
	if err == nil {
		err = eventually(ctx, "the old master as a replica", func(ctx context.Context) error {
			return errors.Join(inStep(ctx, master), s.quorum(ctx))
		})
	}
	return fmt.Sprintf("%s, whose replica was %s behind", did, alone.Round(time.Millisecond)), err
}
