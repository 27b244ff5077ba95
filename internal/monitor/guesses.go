package monitor

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// guessesAtOnce is how many wrong logins of an address are answered at once.
	guessesAtOnce = 10
	// guessEvery is the interval of further ones: 17,000 a day.
	guessEvery = 5 * time.Second
	// mostAddresses bounds the memory: some 100 KB. Further addresses share one count.
	mostAddresses = 1024
)

// guesses slows down wrong logins, per remote address. The zero value knows none. Its
// methods are safe for concurrent use.
type guesses struct {
	mu sync.Mutex
	// free is when an address may make all its guesses at once again.
	free map[netip.Prefix]time.Time
}

// check returns whether the login of a request is right. If the address must wait, right
// is not called: the answer would be worth a guess.
func (g *guesses) check(remote string, now time.Time, right func() bool) (ok bool, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := addressOf(remote)
	if _, known := g.free[from]; !known && g.full(now) {
		from = netip.Prefix{} // of all others
	}
	free := g.free[from]
	if free.Before(now) {
		free = now
	}
	if wait := free.Sub(now) - (guessesAtOnce-1)*guessEvery; wait > 0 {
		return false, wait
	}
	if right() {
		return true, 0
	}
	if g.free == nil {
		g.free = map[netip.Prefix]time.Time{}
	}
	g.free[from] = free.Add(guessEvery)
	return false, 0
}

// full reports whether no further address can be remembered. It forgets those that are
// free.
func (g *guesses) full(now time.Time) bool {
	if len(g.free) < mostAddresses {
		return false
	}
	for from, free := range g.free {
		if free.Before(now) {
			delete(g.free, from)
		}
	}
	return len(g.free) >= mostAddresses
}

// addressOf returns the address of a connection, of IPv6 the network, which has one
// owner.
func addressOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // fails for more bits than there are
	return prefix
}
