package redisdb

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

const (
	connectionsMax = 65_535   // number of ports of one address
	bufferMax      = 64 << 20 // bytes
)

// checkBounds rejects numbers in a URL on which go-redis would panic, or that no server
// supports.
func checkBounds(o *redis.Options) error {
	for _, n := range []struct {
		name       string
		value, max int
	}{
		{"the database", o.DB, 1<<31 - 1},
		{"pool_size", o.PoolSize, connectionsMax},
		{"min_idle_conns", o.MinIdleConns, connectionsMax},
		{"max_idle_conns", o.MaxIdleConns, connectionsMax},
		{"max_active_conns", o.MaxActiveConns, connectionsMax},
		{"max_concurrent_dials", o.MaxConcurrentDials, connectionsMax},
		{"pipeline_pool_size", o.PipelinePoolSize, connectionsMax},
		{"pipeline_read_buffer_size", o.PipelineReadBufferSize, bufferMax},
		{"pipeline_write_buffer_size", o.PipelineWriteBufferSize, bufferMax},
	} {
		if n.value < 0 || n.value > n.max {
			return fmt.Errorf("%s is %d; it must be 0 to %d", n.name, n.value, n.max)
		}
	}
	if o.Protocol != 0 && o.Protocol != 2 && o.Protocol != 3 {
		return fmt.Errorf("protocol is %d; it must be 2 or 3", o.Protocol)
	}
	return nil
}
