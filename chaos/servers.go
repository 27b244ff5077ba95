package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/secret"
	"rollcall/internal/subprocess"
)

const (
	loopback = "127.0.0.1"
	// startBound is how long servers may take to be ready and to agree on the master:
	// seconds, or a minute if a Sentinel distrusts its clock because the machine was
	// busy.
	startBound = 4 * time.Minute
	askEvery   = 20 * time.Millisecond
)

// node is one redis-server: it can be killed and started again at its address.
type node struct {
	binary, dir, addr string
	arguments         []string
	child             *subprocess.Process
}

func (n *node) start(more ...string) (err error) {
	n.child, err = subprocess.Start(subprocess.Command{
		Program: n.binary, Args: append(n.arguments, more...), Log: filepath.Join(n.dir, "log"),
	})
	return err
}

// ask runs f with a client of only this server.
func (n *node) ask(f func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{Addr: n.addr, ContextTimeoutEnabled: true, MaxRetries: -1})
	return errors.Join(f(client), client.Close())
}

// replication returns what a server reports about itself and its replicas.
func (n *node) replication(ctx context.Context) (text string, err error) {
	err = n.ask(func(c *redis.Client) (err error) {
		text, err = c.Info(ctx, "replication").Result()
		return err
	})
	return text, err
}

// ready returns nil if it answers and has loaded its data.
func (n *node) ready(ctx context.Context) error {
	return n.ask(func(c *redis.Client) error { return c.Ping(ctx).Err() })
}

// servers are the Redis of a variant.
type servers struct {
	spot    redisdb.Config // for producers
	section string         // of the workers' configuration
	dir     string
	nodes   []*node // with data
	others  []*node // Sentinels
	// strike kills a master, and returns when there is one again. It returns what it
	// did.
	strike func(context.Context, *rand.Rand) (string, error)
	every  time.Duration // between two strikes: this to twice as long
	halt   func()        // what watches the servers, ended first; nil: nothing does
}

func openServers(ctx context.Context, variant, dir string) (*servers, error) {
	s := &servers{dir: dir}
	behindGateway := func(ctx context.Context) error {
		err := s.openSingle(ctx, always)
		s.every = 20 * time.Second
		return err
	}
	open := map[string]func(context.Context) error{
		always:   func(ctx context.Context) error { return s.openSingle(ctx, "always") },
		everysec: func(ctx context.Context) error { return s.openSingle(ctx, "everysec") },
		sentinel: s.openSentinel,
		cluster:  s.openCluster,
		gateway:  behindGateway,
		late:     behindGateway,
		// Nothing is killed, and the pace is not to be that of the disk.
		vandal: func(ctx context.Context) error { return s.openSingle(ctx, "no") },
	}[variant]
	if err := open(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *servers) close() {
	if s.halt != nil {
		s.halt()
	}
	for _, list := range [][]*node{s.others, s.nodes} {
		for _, n := range list {
			if n.child != nil {
				n.child.Kill()
			}
		}
	}
}

// cut closes all client connections, like a network fault.
func (s *servers) cut(ctx context.Context) {
	for _, n := range s.nodes {
		_ = n.ask(func(c *redis.Client) error { // one that is down has none
			return c.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()
		})
	}
}

// add makes a server's directory and starts it.
func (s *servers) add(name, port string, settings ...string) (*node, error) {
	binary, err := subprocess.RedisServer()
	if err != nil {
		return nil, err
	}
	n := &node{binary: binary, dir: filepath.Join(s.dir, name), addr: net.JoinHostPort(loopback, port)}
	if err := os.Mkdir(n.dir, 0o700); err != nil {
		return nil, err
	}
	n.arguments = append([]string{
		"--bind", loopback, "--port", port, "--dir", n.dir, "--daemonize", "no", "--save", "",
		"--appendonly", "yes", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
	}, settings...)
	s.nodes = append(s.nodes, n)
	return n, n.start()
}

// eventually repeats check until it returns nil.
func eventually(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: not within %s: %w", what, startBound, err)
		}
		pause(ctx, askEvery)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

// openSingle starts one server. If it is killed, it loses nothing that it has passed to
// the kernel. With everysec each strike is a power cut, which loses what was not on the
// disk yet.
func (s *servers) openSingle(ctx context.Context, fsync string) error {
	ports, err := subprocess.Ports(ctx, 1, 0)
	if err != nil {
		return err
	}
	settings := []string{"--appendfsync", fsync}
	if fsync == everysec {
		settings = append(settings, "--auto-aof-rewrite-percentage", "0") // one file, which only grows
	}
	n, err := s.add("redis", ports[0], settings...)
	if err != nil {
		return err
	}
	if err := eventually(ctx, "a Redis that answers", n.ready); err != nil {
		return err
	}
	address := "redis://" + n.addr + "/0"
	s.spot = redisdb.Config{URL: secret.New(address)}
	s.section = fmt.Sprintf("{url: %q}", address)
	s.every = 30 * time.Second
	var power *meter
	if fsync == everysec {
		power = watchGrowth(n.dir)
		s.halt = power.stop
	}
	s.strike = func(ctx context.Context, r *rand.Rand) (string, error) {
		n.child.Kill()
		did := "killed Redis"
		if power != nil {
			lost, err := power.cut(time.Second)
			if err != nil {
				return did, err
			}
			did = fmt.Sprintf("cut the power of Redis, and with it the last %d bytes", lost)
		}
		pause(ctx, between(r, 200*time.Millisecond, 3*time.Second))
		if err := n.start(); err != nil {
			return did, err
		}
		return did, eventually(ctx, "a Redis that answers again", n.ready)
	}
	return nil
}

func role(info string) string {
	_, rest, _ := strings.Cut(info, "role:")
	word, _, _ := strings.Cut(rest, "\r\n")
	return word
}
