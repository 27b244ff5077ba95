package remote_test

import (
	"testing"

	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }
