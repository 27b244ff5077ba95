package redisdb_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestAwayIsWhatPassesByItself(t *testing.T) {
	t.Parallel()
	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer nobody.Close()
	client := redistest.Mini(t).Client(t)
	for name, row := range map[string]struct {
		err  error
		away bool
	}{
		"nobody listens":    {nobody.Ping(t.Context()).Err(), true},
		"cut off":           {fmt.Errorf("read: %w", io.EOF), true},
		"a refused command": {client.Do(t.Context(), "GET").Err(), false},
		"a defect":          {errors.New("no such lane"), false},
		"nothing":           {nil, false},
	} {
		if got := redisdb.Away(row.err); got != row.away {
			t.Errorf("%s: Away(%v) = %v, want %v", name, row.err, got, row.away)
		}
	}
}
