package redistest_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
)

// Replies of every shape cross it, whichever protocol is spoken, and what was
// sent together with a command whose reply is lost is carried out.
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
				t.Errorf("protocol %d: a map came as %q", protocol, got)
			}
			if err := rdb.Get(ctx, "nothing").Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("protocol %d: nothing came as %v", protocol, err)
			}
			if text, err := rdb.Info(ctx, "clients").Result(); err != nil || len(text) < 20 {
				t.Errorf("protocol %d: INFO came as %q, %v", protocol, text, err)
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
				t.Errorf("protocol %d: %d of two commands were carried out", protocol, n)
			}
		}
	})
}
