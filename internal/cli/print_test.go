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

func TestAZonedTimeNamesItsDistanceFromUTC(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 3, 0, 0, 0, time.FixedZone("anywhere", 5*60*60+1800))
	p := &cli.Printer{Now: now}
	for at, want := range map[time.Time]string{
		now:                            "03:00 UTC+05:30 (now)",
		now.Add(2 * time.Hour).UTC():   "05:00 UTC+05:30 (in 2h00m)",
		now.Add(-72 * time.Hour).UTC(): "2026-02-27 03:00 UTC+05:30 (3d00h ago)",
	} {
		if got := p.Zoned(at); got != want {
			t.Errorf("%s is %q, want %q", at, got, want)
		}
	}
}
