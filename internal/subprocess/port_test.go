package subprocess_test

import (
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

func TestAPortThatWasReturnedIsNotReturnedAgainWhileItsServerIsStopped(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 20 {
		ports, err := subprocess.Ports(t.Context(), 50, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			if seen[port] {
				t.Fatalf("port %s is returned twice", port)
			}
			seen[port] = true
		}
	}
}
