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

// Ports returns n free TCP ports of the loopback address whose port at the distance offset
// is free, too. offset 0: there is no such other port. Until ctx ends, Ports does not
// return them again, in any process. Another program may still take a port before the
// caller does: try again with others then.
func Ports(ctx context.Context, n, offset int) ([]string, error) {
	var ports []string
	for tries := 0; len(ports) < n; tries++ {
		if tries > triesPerPort*n {
			return nil, errors.New("no free ports are left")
		}
		port := lowest + rand.IntN(beyond-lowest) //nolint:gosec // not a secret
		if reserve(ctx, port) && (offset == 0 || reserve(ctx, port+offset)) {
			ports = append(ports, strconv.Itoa(port))
		}
	}
	return ports, nil
}

// reserve reports whether a port is free, and keeps it for the caller until ctx ends. A UDP
// socket with the port's number is the reservation: it is seen by all processes, ends with
// its own, and leaves the TCP port free.
func reserve(ctx context.Context, port int) bool {
	var listen net.ListenConfig
	at := net.JoinHostPort(loopback, strconv.Itoa(port))
	reservation, err := listen.ListenPacket(ctx, "udp4", at)
	if err != nil {
		return false
	}
	probe, err := listen.Listen(ctx, "tcp4", at)
	if err != nil {
		_ = reservation.Close()
		return false
	}
	_ = probe.Close()
	context.AfterFunc(ctx, func() { _ = reservation.Close() })
	return true
}
