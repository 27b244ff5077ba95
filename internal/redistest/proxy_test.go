package redistest_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
)

// Replies of every type pass, in both protocols. A command that was sent together with
// one whose reply is lost is executed.
func TestAProxyLosesOneReplyAndLetsAllOthersPass(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		for _, protocol := range []int{2, 3} {
			lose := ""
			proxy := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
				if lose != "" && slices.Contains(redistest.Words(request), lose) {
					return redistest.LoseReply
				}
				return redistest.Pass
			}, nil)
			rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), Protocol: protocol, MaxRetries: -1})
			defer rdb.Close()
			ctx := t.Context()
			if err := rdb.HSet(ctx, "h", "a", "1\r\n", "b", "2").Err(); err != nil {
				t.Fatal(err)
			}
			if got := rdb.HGetAll(ctx, "h").Val(); got["a"] != "1\r\n" || len(got) != 2 {
				t.Errorf("protocol %d: a map was read as %q", protocol, got)
			}
			if err := rdb.Get(ctx, "nothing").Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("protocol %d: nil was read as %v", protocol, err)
			}
			if text, err := rdb.Info(ctx, "clients").Result(); err != nil || len(text) < 20 {
				t.Errorf("protocol %d: INFO was read as %q, %v", protocol, text, err)
			}

			rdb.Del(ctx, "x", "y")
			lose = "y"
			_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, "x", 1, 0)
				p.Set(ctx, "y", 1, 0)
				return nil
			})
			if !errors.Is(err, io.EOF) {
				t.Errorf("protocol %d: %v, want the reply lost", protocol, err)
			}
			if n := s.Client(t).Exists(ctx, "x", "y").Val(); n != 2 {
				t.Errorf("protocol %d: %d of two commands were executed", protocol, n)
			}
		}
	})
}
