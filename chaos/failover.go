package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
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

// part stops a replica from receiving its master's writes, as a slow network does: what
// is acknowledged from then on is lost with the master.
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

// inStep reports whether a server is a replica that receives its master's writes.
func inStep(ctx context.Context, n *node) error {
	info, err := n.replication(ctx)
	if err == nil && (role(info) != "slave" || !strings.Contains(info, "master_link_status:up")) {
		err = fmt.Errorf("%s is no replica in step", n.addr)
	}
	return err
}

// lag stops the replication, lets the master continue alone for a moment, and kills it.
func lag(ctx context.Context, r *rand.Rand, master, replica *node) (time.Duration, error) {
	if err := part(ctx, master, replica); err != nil {
		return 0, err
	}
	alone := between(r, 200*time.Millisecond, time.Second)
	pause(ctx, alone)
	master.child.Kill()
	return alone, nil
}
