package redistest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"rollcall/internal/subprocess"
)

const (
	loopback = "127.0.0.1"
	// startBound is how long a deployment may take to agree on its master. It usually
	// takes some seconds; a loaded machine takes longer.
	startBound = time.Minute
	// takeOverBound is how long a replica may take to become the master. It usually
	// takes four seconds. A Sentinel that gets no CPU time for two seconds distrusts
	// its clock and does nothing for thirty, each time.
	takeOverBound = 4 * time.Minute
	// portTries bounds how often ports that another process took in between are
	// replaced.
	portTries = 5
	// askEvery is how often a deployment is checked for being ready.
	askEvery = 20 * time.Millisecond
)

func addr(port string) string { return net.JoinHostPort(loopback, port) }

// retry builds something on n free ports, which another process may take first. The port
// further by offset is free, too, for each of them.
func retry(t *testing.T, n, offset int, build func(ports []string) error) {
	t.Helper()
	var refused error
	for range portTries {
		ports, err := subprocess.Ports(t.Context(), n, offset)
		if err == nil {
			err = build(ports)
		}
		if err == nil {
			return
		}
		refused = errors.Join(refused, err)
	}
	t.Fatalf("redistest: the server did not start: %v", refused)
}

// eventually repeats check until it returns nil, and fails the test after a while.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	within(t, startBound, what, check)
}

func within(t *testing.T, bound time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), bound)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("redistest: %s: not within %s: %v", what, bound, err)
		case <-tick.C:
		}
	}
}
