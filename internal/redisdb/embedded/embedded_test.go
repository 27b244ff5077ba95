package embedded_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/internal/redisdb/embedded"
)

// A caller's key is valid for 24 hours: in a Redis whose clock stands still it would
// never expire.
func TestKeysExpireWhileTheServerAges(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	aged := make(chan struct{})
	go func() { server.Age(ctx); close(aged) }()
	defer func() { cancel(); <-aged }()

	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(options)
	defer func() { _ = rdb.Close() }()
	if err := rdb.Set(t.Context(), "key", "v", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	for rdb.Exists(t.Context(), "key").Val() == 1 {
		if t.Context().Err() != nil {
			t.Fatal("the key never expired")
		}
	}
}

func TestAnAddressInUseIsReportedWithAdvice(t *testing.T) {
	t.Parallel()
	first, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	address := strings.TrimSuffix(strings.TrimPrefix(first.URL(), "redis://"), "/0")
	if _, err := embedded.Start(address); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("Start() = %v", err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
