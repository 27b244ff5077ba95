package redisdb

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Away reports whether err says that Redis cannot be reached, or not yet or not
// just now do what it is asked: it passes by itself.
func Away(err error) bool {
	if reply, said := errors.AsType[redis.Error](err); said {
		for _, passing := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"} {
			if strings.HasPrefix(reply.Error(), passing) {
				return true
			}
		}
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout)
}
