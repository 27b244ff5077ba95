package monitor_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
)

func TestServeReturnsAfterTheRunningRequestIsServed(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var address string
	var served atomic.Bool
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		for { // until no new connection is accepted
			conn, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			conn.Close()
		}
		<-time.After(50 * time.Millisecond) // a server that does not wait would return now
		io.WriteString(w, "metrics")
		served.Store(true)
	})
	server, err := config(redistest.One(t), monitor.Config{Metrics: page}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSuffix(server.URL(), "/monitor/")
	address = strings.TrimPrefix(url, "http://")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	answered := make(chan string, 1)
	go func() {
		_, body := ask(t, get(url+"/metrics"))
		answered <- body
	}()
	if err := <-ended; err != nil || !served.Load() {
		t.Errorf("Serve returned %v; the running request was served: %t", err, served.Load())
	}
	if body := <-answered; body != "metrics" {
		t.Errorf("the page was %q", body)
	}
	http.DefaultClient.CloseIdleConnections()
}
