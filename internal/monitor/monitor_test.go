package monitor_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
)

func TestTheWebUIShowsQueuesAndLetsNobodyChangeThem(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := asynq.NewClientFromRedisClient(s.Client(t))
		if _, err := client.Enqueue(asynq.NewTask("nickname:sync", []byte(`{"v":1}`)), asynq.Queue("lakeside-dt.nickname")); err != nil {
			t.Fatal(err)
		}
		url := serve(t, s)

		status, body := do(t, http.MethodGet, url+"api/queues", "")
		if status != http.StatusOK || !strings.Contains(body, "lakeside-dt.nickname") {
			t.Errorf("queues: %d %s", status, body)
		}
		if status, _ := do(t, http.MethodPost, url+"api/queues/lakeside-dt.nickname:pause", ""); status != http.StatusMethodNotAllowed {
			t.Errorf("pausing a queue answered %d, want 405", status)
		}
		if status, _ := do(t, http.MethodGet, url, "evil.example"); status != http.StatusForbidden {
			t.Errorf("a foreign host name answered %d, want 403", status)
		}
		if status, _ := do(t, http.MethodGet, strings.TrimSuffix(url, "monitor/"), ""); status != http.StatusOK {
			t.Errorf("the root answered %d, want the way to the page", status)
		}
	})
}

func TestAnAddressThatIsTakenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	_, err := monitor.Listen(t.Context(), s.Addr, asynq.RedisClientOpt{Addr: s.Addr}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("Listen() = %v", err)
	}
}

func serve(t *testing.T, s *redistest.Server) string {
	t.Helper()
	server, err := monitor.Listen(t.Context(), "127.0.0.1:0", asynq.RedisClientOpt{Addr: s.Addr}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

func do(t *testing.T, method, url, host string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
