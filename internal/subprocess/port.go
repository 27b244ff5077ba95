package subprocess

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	loopback = "127.0.0.1"
	// The ports lie below those that an operating system gives to outgoing connections
	// and to listeners on port 0 (Linux: from 32768), so that no other program takes the
	// port of a server that is stopped for a moment. The bus of a Redis Cluster, 10000
	// above its port, lies there too.
	lowest, beyond = 10_000, 22_000
	triesPerPort   = 100
)

// Ports returns n free ports of the loopback address whose port at the distance offset is
// free, too. offset 0: there is no such other port. Another server may still take a port
// before the caller does: try again with others then.
func Ports(ctx context.Context, n, offset int) ([]string, error) {
	var ports []string
	var listen net.ListenConfig
	for tries := 0; len(ports) < n; tries++ {
		if tries > triesPerPort*n {
			return nil, errors.New("no free ports are left")
		}
		port := lowest + rand.IntN(beyond-lowest) //nolint:gosec // not a secret
		// All ports are held until the last one is found: otherwise one might be
		// returned twice.
		l, err := listen.Listen(ctx, "tcp", address(port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if offset > 0 {
			other, err := listen.Listen(ctx, "tcp", address(port+offset))
			if err != nil {
				continue
			}
			defer func() { _ = other.Close() }()
		}
		ports = append(ports, strconv.Itoa(port))
	}
	return ports, nil
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
