package exitcode_test

import (
	"errors"
	"fmt"
	"testing"

	"rollcall/internal/exitcode"
)

func TestTheCodeOfAnErrorIsThatOfTheOneItWraps(t *testing.T) {
	t.Parallel()
	plain := errors.New("x")
	for want, err := range map[int]error{
		exitcode.OK:     exitcode.AsConfig(nil),
		exitcode.Failed: plain,
		exitcode.Usage:  fmt.Errorf("more: %w", exitcode.AsUsage(plain)),
		exitcode.Config: exitcode.AsConfig(plain),
	} {
		if got := exitcode.Of(err); got != want {
			t.Errorf("Of(%v) = %d, want %d", err, got, want)
		}
	}
	if err := exitcode.AsUsage(plain); !errors.Is(err, plain) || err.Error() != "x" {
		t.Errorf("AsUsage(x) = %v, want the same message", err)
	}
}
