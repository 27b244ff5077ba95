package cli_test

import (
	"testing"
	"time"

	"rollcall/internal/cli"
)

func TestLengthsOfTimeHaveTwoUnitsAtMost(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1s", 59 * time.Second: "59s", 90 * time.Second: "1m30s", 36*time.Minute + time.Second: "36m",
		134 * time.Minute: "2h14m", 47 * time.Hour: "47h00m", 164 * time.Hour: "6d20h", 3000 * 24 * time.Hour: "years",
	} {
		if got := cli.Duration(d); got != want {
			t.Errorf("%s is printed as %s, want %s", d, got, want)
		}
	}
}
