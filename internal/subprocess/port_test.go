package subprocess_test

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"rollcall/internal/subprocess"
)

func TestPortsAreDistinctFreeAndNotGivenToAnyoneElse(t *testing.T) {
	t.Parallel()
	const busOffset = 10_000
	ports, err := subprocess.Ports(t.Context(), 8, busOffset)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if distinct := len(slices.Compact(slices.Clone(ports))); len(ports) != 8 || distinct != 8 {
		t.Fatalf("%v: want eight different ports", ports)
	}
	for _, text := range ports {
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		// Linux gives ports from 32768 on to outgoing connections.
		if port+busOffset >= 32768 {
			t.Errorf("port %d or its bus may be taken by an outgoing connection", port)
		}
	}
}

func TestAPortInUseIsNotReturned(t *testing.T) {
	t.Parallel()
	first, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+first[0])
	if err != nil {
		t.Skipf("another program took the port: %v", err)
	}
	defer l.Close()
	for range 50 {
		ports, err := subprocess.Ports(t.Context(), 20, 0)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ports, first[0]) {
			t.Fatalf("port %s is in use", first[0])
		}
	}
}
