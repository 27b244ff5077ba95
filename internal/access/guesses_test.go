package access_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"rollcall/internal/access"
)

var addr = netip.MustParseAddr

func yes() bool { return true }
func no() bool  { return false }

func TestAnAddressThatGuessedRecoversAndOthersAreNotAffected(t *testing.T) {
	t.Parallel()
	var g access.Guesses
	now := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	right := func(client string, at time.Time) string {
		ok, wait := g.Check(addr(client), at, yes)
		return fmt.Sprint(ok, wait)
	}
	for i := range 7000 {
		g.Check(addr("192.0.2.7"), now.Add(time.Duration(i)*time.Millisecond), no)
		g.Check(addr(fmt.Sprintf("2001:db8:1:2::%x", i)), now.Add(time.Duration(i)*time.Millisecond), no)
	}
	now = now.Add(7 * time.Second)
	for client, want := range map[string]string{
		"192.0.2.7": "false 3s", "::ffff:192.0.2.7": "false 3s", "2001:db8:1:2:ffff::1": "false 3s",
		"192.0.2.8": "true 0s", "2001:db8:1:3::1": "true 0s",
	} {
		if got := right(client, now); got != want {
			t.Errorf("%s: %s, want %s", client, got, want)
		}
	}
	if got := right("192.0.2.7", now.Add(3*time.Second)); got != "true 0s" {
		t.Errorf("after the wait: %s", got)
	}
	if ok, _ := g.Check(addr("192.0.2.7"), now.Add(3*time.Second), no); ok {
		t.Error("a wrong login is right")
	}
	if got := right("192.0.2.7", now.Add(3*time.Second)); got == "true 0s" {
		t.Error("a second guess was answered after one interval")
	}
}

func TestGuessesOfManyAddressesNeedLittleMemoryAndShareOneCount(t *testing.T) {
	t.Parallel()
	var g access.Guesses
	now := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	answered := 0
	for i := range 20_000 {
		if _, wait := g.Check(addr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now, no); wait == 0 {
			answered++
		}
	}
	if n := access.Remembered(&g); n > 1025 || answered > 1024+10 {
		t.Errorf("%d addresses remembered, %d guesses answered", n, answered)
	}
	if ok, _ := g.Check(addr("10.0.0.0"), now, yes); !ok {
		t.Error("an address with one wrong login may not log in")
	}
	if ok, _ := g.Check(addr("192.0.2.1"), now.Add(time.Minute), yes); !ok || access.Remembered(&g) > 1 {
		t.Errorf("after a minute: %t, %d addresses remembered", ok, access.Remembered(&g))
	}
}
