package redisdb_test

import (
	"strings"
	"testing"

	"rollcall/internal/redisdb"
)

// With some of these numbers go-redis panics when a client is created.
func TestNumbersThatNoServerSupportsAreRejected(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"pool_size=-1":                             "pool_size is -1",
		"pool_size=9999999999999":                  "pool_size is 9999999999999",
		"pipeline_pool_size=9999999999999":         "pipeline_pool_size",
		"pipeline_pool_size=-1":                    "pipeline_pool_size",
		"min_idle_conns=-5":                        "min_idle_conns",
		"max_concurrent_dials=-3":                  "max_concurrent_dials",
		"pipeline_read_buffer_size=99999999999999": "pipeline_read_buffer_size",
		"db=-1":      "the database is -1",
		"protocol=7": "protocol is 7; it must be 2 or 3",
	} {
		for _, form := range []string{"redis://h:1?", "redis+sentinel://h:1/m?", "redis+cluster://h:1?"} {
			if strings.HasPrefix(query, "db=") && form != "redis://h:1?" {
				continue
			}
			client, err := redisdb.Open(form + query)
			if err == nil {
				_ = client.Close()
			}
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open(%s%s) = %v, want one line with %q", form, query, err, want)
			}
		}
	}
	client, err := redisdb.Open("redis://h:1?pool_size=50&min_idle_conns=0&protocol=3&read_timeout=-1s")
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
}
