package ids

import (
	"testing"

	"rollcall/internal/commandtest"
)

func TestThePageNamesEveryField(t *testing.T) {
	t.Parallel()
	commandtest.NamesFields(t, "../../../../docs/rollcall.md", settledID{}, unknownRecord{})
}
