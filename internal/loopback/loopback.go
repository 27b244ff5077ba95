// Package loopback recognizes hosts of this machine. It must not know what they serve.
package loopback

import (
	"net"
	"net/netip"
	"strings"
)

// Is reports whether host, with or without a port, is this machine. A name other than
// localhost is not resolved, because its address may change.
func Is(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
