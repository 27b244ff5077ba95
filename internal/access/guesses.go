package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// guessesAtOnce is how many wrong secrets of an address are answered at once.
	guessesAtOnce = 10
	// guessEvery is the interval of further ones: 17,000 a day.
	guessEvery = 5 * time.Second
	// mostAddresses bounds the memory: some 100 KB. Further addresses share one count.
	mostAddresses = 1024
)

// Guesses slows down wrong secrets, per address of the client. The zero value knows none.
// Its methods are safe for concurrent use.
type Guesses struct {
	mu sync.Mutex
	// free is when an address may make all its guesses at once again.
	free map[netip.Prefix]time.Time
}

// Check returns whether the password of a request is right. If the address must wait, right
// is not called: the answer would be worth a guess.
func (g *Guesses) Check(client netip.Addr, now time.Time, right func() bool) (ok bool, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from, free := g.of(client, now)
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

// Wrong counts a wrong token, and returns how long the address must wait; 0: not yet. A
// right token needs no Check: it cannot be guessed, and a client with a wrong one must not
// lock out others at its address.
func (g *Guesses) Wrong(client netip.Addr, now time.Time) (wait time.Duration) {
	_, wait = g.Check(client, now, func() bool { return false })
	return wait
}

// of returns under what an address is counted, and when it is free.
func (g *Guesses) of(client netip.Addr, now time.Time) (netip.Prefix, time.Time) {
	from := ownerOf(client)
	if _, known := g.free[from]; !known && g.full(now) {
		from = netip.Prefix{} // of all others
	}
	free := g.free[from]
	if free.Before(now) {
		free = now
	}
	return from, free
}

// full reports whether no further address can be remembered. It forgets those that are
// free.
func (g *Guesses) full(now time.Time) bool {
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

// ownerOf returns the address, of IPv6 the network, which has one owner.
func ownerOf(client netip.Addr) netip.Prefix {
	addr := client.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix for an address that is unknown
	return prefix
}
