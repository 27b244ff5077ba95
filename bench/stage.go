package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/internal/subprocess"
	"rollcall/tasks"
)

const (
	organisation = "bench"
	tenant       = "bench"
)

// bench is shared by all figures: a redis-server, a client of it for preparation and
// counting, and a platform.
type bench struct {
	address  string
	rdb      redis.UniversalClient
	platform *platform
	stop     func()
	// carried is how many tasks are carried out in a turn.
	carried int
}

// start starts a redis-server of our own that keeps nothing, and a platform.
func start(ctx context.Context) (*bench, error) {
	server, rdb, err := openRedis(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{address: server.address, rdb: rdb, stop: server.stop, carried: carriedOut}
	if b.platform, err = startPlatform(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) url() string { return "redis://" + b.address + "/0" }

func (b *bench) close() {
	if b.platform != nil {
		_ = b.platform.server.Close()
	}
	if b.rdb != nil {
		_ = b.rdb.Close()
	}
	b.stop()
}

// redisServer is a redis-server of our own that keeps nothing.
type redisServer struct {
	address string
	stop    func()
}

// openRedis starts a Redis. Another server may take its port first.
func openRedis(ctx context.Context) (server *redisServer, rdb redis.UniversalClient, err error) {
	for range 5 {
		if server, err = startRedis(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if rdb, err = redisdb.Open("redis://" + server.address + "/0"); err != nil {
		server.stop()
		return nil, nil, err
	}
	return server, rdb, nil
}

func startRedis(ctx context.Context) (*redisServer, error) {
	binary, err := subprocess.RedisServer()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rollcall-bench")
	if err != nil {
		return nil, err
	}
	ports, err := subprocess.Ports(ctx, 1, 0)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p, err := subprocess.Start(subprocess.Command{Program: binary, Ready: subprocess.RedisReady, Args: []string{
		"--bind", "127.0.0.1", "--port", ports[0], "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &redisServer{address: "127.0.0.1:" + ports[0], stop: func() {
		p.Kill()
		_ = os.RemoveAll(dir)
	}}, nil
}

// clear empties Redis and publishes the lanes, so that every turn starts from the same
// state.
func (b *bench) clear(ctx context.Context) error {
	if err := b.rdb.FlushDB(ctx).Err(); err != nil {
		return err
	}
	return registry.Publish(ctx, b.rdb, []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}})
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// platform answers every call with success, at once.
type platform struct {
	server *http.Server
	url    string
	calls  atomic.Int64
	// came receives when each call arrived, if there is a receiver.
	came chan time.Time
	// saw is called with the user of each call, if it is set.
	saw atomic.Pointer[func(user string)]
}

func startPlatform() (*platform, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, err
	}
	p := &platform{url: "http://" + listener.Addr().String(), came: make(chan time.Time)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1.0/oauth2/accessToken", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"accessToken":"token","expireIn":7200}`)
	})
	mux.HandleFunc("POST /topapi/chat/updategroupnick", func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		if saw := p.saw.Load(); saw != nil {
			(*saw)(r.FormValue("userid"))
		}
		select {
		case p.came <- time.Now():
		default:
		}
		answer(w, `{"errcode":0,"errmsg":"ok","success":true,"request_id":"bench"}`)
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = p.server.Serve(listener) }() // ends with Close alone
	return p, nil
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}
