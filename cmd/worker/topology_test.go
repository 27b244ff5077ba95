package main

import (
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/redistest"
)

// The scripts for a single Redis also pass behind Sentinel and on a Cluster, with the ACL
// user of docs/redis.md, and during a failover. Scripts that stop their Redis need a
// single one.
func TestScriptsOnEveryTopology(t *testing.T) {
	t.Parallel()
	both := map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster}
	for script, deployments := range map[string]map[string]func(*testing.T) *redistest.Deployment{
		"testdata/topology/failover.txtar":   both,
		"testdata/script/goes_through.txtar": both,
		"testdata/script/terminated.txtar":   both,
		"testdata/script/stale_name.txtar":   both,
		"testdata/script/malformed.txtar":    both,
		"testdata/script/unreadable.txtar":   both,
		"testdata/script/killed.txtar":       {"single": redistest.Single},

		"testdata/script/alternative.txtar":   both,
		"testdata/script/ambiguous_id.txtar":  both,
		"testdata/script/busy_twice.txtar":    both,
		"testdata/script/expired_token.txtar": both,
		"testdata/script/have_been_set.txtar": both,
		"testdata/script/unchanged.txtar":     both,
	} {
		for name, start := range deployments {
			t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar")+"/"+name, func(t *testing.T) {
				t.Parallel()
				if testing.Short() {
					t.Skip("takes servers that agree, or half a minute: make test-long")
				}
				play(t, script, in(start(t)))
			})
		}
	}
}

func TestAWorkerSpeaksTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s: make test-long")
	}
	t.Parallel()
	d, _ := redistest.TLS(t)
	play(t, "testdata/script/goes_through.txtar", in(d))
}
