package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
)

// repairer is the command rollcall repair.
type repairer struct{ command, redis string }

// repaired is a line of its output.
type repaired struct {
	Lane      string `json:"lane"`
	Key       string `json:"key"`
	Entry     string `json:"entry"`
	Problem   string `json:"problem"`
	Lost      string `json:"lost"`
	Discarded bool   `json:"discarded"`
}

func (r repairer) run(ctx context.Context, arguments ...string) ([]repaired, error) {
	arguments = append([]string{"repair", "--json", "--redis", r.redis}, arguments...)
	cmd := exec.CommandContext(ctx, r.command, arguments...) //nolint:gosec // our own command
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(r.command), strings.Join(arguments, " "), err, failed.String())
	}
	var all []repaired
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var one repaired
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("rollcall repair printed %q: %w", lines.Text(), err)
		}
		all = append(all, one)
	}
	return all, nil
}
