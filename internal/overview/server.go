package overview

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Server is a Redis server, as it describes itself.
type Server struct {
	Port, Version, Role string
	Used, Most          int64 // bytes; Most 0: not bounded
	Policy              string
	AOF                 bool
	WriteFailed         bool // the last write to its disk failed
}

// Full is the share of its memory that is used; 0: not bounded.
func (s Server) Full() float64 {
	if s.Most <= 0 {
		return 0
	}
	return float64(s.Used) / float64(s.Most)
}

// readServers reads the masters. One that does not describe itself, such as an embedded one, is
// left out.
func readServers(ctx context.Context, rdb redis.UniversalClient) []Server {
	var mu sync.Mutex
	var all []Server
	read := func(ctx context.Context, node redis.Cmdable) {
		// Without a section miniredis panics if it is closed at that moment; with this one it answers
		// with an error.
		info, err := node.Info(ctx, "default").Result()
		if err != nil {
			return
		}
		if s := parseInfo(info); s.Version != "" {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, s)
		}
	}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		_ = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			read(ctx, node)
			return nil
		})
		return all
	}
	read(ctx, rdb)
	return all
}

func parseInfo(info string) Server {
	facts := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(facts[name], 10, 64); return n }
	return Server{
		Port: facts["tcp_port"], Version: facts["redis_version"], Role: facts["role"], Used: number("used_memory"),
		Most: number("maxmemory"), Policy: facts["maxmemory_policy"], AOF: facts["aof_enabled"] == "1",
		WriteFailed: facts["aof_last_write_status"] == "err" || facts["rdb_last_bgsave_status"] == "err",
	}
}
