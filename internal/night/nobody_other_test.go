//go:build !linux

package night_test

import (
	"testing"

	"rollcall/internal/source"
)

// asNobody reads a source as it is: root is not expected to run the tests here.
type asNobody struct {
	t *testing.T
	source.Source
}
