package main

import (
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/redistest"
)

// What the scripts tell of a single Redis holds behind Sentinel and on a
// Cluster, under the ACL user of docs/redis.md; and in the middle of a
// failover. A chosen few: a deployment is five or six servers.
func TestScriptsOnEveryTopology(t *testing.T) {
	t.Parallel()
	both := map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster}
	for script, places := range map[string]map[string]func(*testing.T) *redistest.Deployment{
		"testdata/topology/failover.txtar":   both,
		"testdata/script/goes_through.txtar": both,
		"testdata/script/terminated.txtar":   both,
		"testdata/script/stale_name.txtar":   both,
		"testdata/script/malformed.txtar":    both,
		"testdata/script/killed.txtar":       {"single": redistest.Single},
	} {
		for name, start := range places {
			t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar")+"/"+name, func(t *testing.T) {
				t.Parallel()
				play(t, script, in(start(t)))
			})
		}
	}
}

func TestAWorkerSpeaksTLS(t *testing.T) {
	t.Parallel()
	d, _ := redistest.TLS(t)
	play(t, "testdata/script/goes_through.txtar", in(d))
}
