package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"rollcall/internal/secret"
)

// Anything that prints a secret, or a struct that holds one in an unexported
// field, must not show its value.
func TestNoWayOfPrintingShowsTheValue(t *testing.T) {
	t.Parallel()
	const value = "s3cr3t-value"
	type owner struct {
		Exported   secret.Text `json:"exported"`
		unexported secret.Text
	}
	o := owner{Exported: secret.New(value), unexported: secret.New(value)}

	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", o.Exported, "owner", o)
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		fmt.Sprint(o), fmt.Sprintf("%v %+v %#v %s %q", o, o, o, o.unexported, o.unexported),
		fmt.Sprintf("%x", o.Exported), fmt.Sprint(&o), string(asJSON), log.String(),
	} {
		if strings.Contains(printed, value) || strings.Contains(printed, fmt.Sprintf("%x", value)) {
			t.Errorf("printed %q", printed)
		}
	}
	if got := o.unexported.Reveal(); got != value {
		t.Errorf("Reveal() = %q, want the value", got)
	}
	if !(secret.Text{}).IsZero() || o.Exported.IsZero() {
		t.Error("IsZero is wrong about the empty or the full secret")
	}
}
