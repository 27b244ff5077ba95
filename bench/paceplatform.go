package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// uplink is the longest delay of a call to the platform; each call has a random
	// part of it before it is counted.
	uplink = 30 * time.Millisecond
	// An accepted call takes a time between these two.
	leastWork, mostWork = 20 * time.Millisecond, 50 * time.Millisecond
	// firstCall is how long the processes may take to start.
	firstCall = time.Minute
)

// throttled is DingTalk's answer to a call that exceeds the limit, as its gateway words
// it.
const throttled = `{"errcode":88,"sub_code":"90018","sub_msg":"the app calls this API too often in a second",` +
	`"errmsg":"ding talk error[subcode=90018,submsg=the app calls this API too often in a second]","request_id":"bench"}`

// gate is a platform that counts calls of one API in one window, and remembers
// how it judged each.
type gate struct {
	url    string
	server *http.Server
	prompt bool // without a way and without work
	stalls bool // the first call for a person is never answered
	began  time.Time
	early  time.Duration // from the beginning of a period to began

	mu     sync.Mutex
	window window
	judged calls
}

// openCheck opens a platform on a loopback address.
func openCheck(kind string, limit int, per time.Duration, prompt bool) (*gate, error) {
	w, err := newWindow(kind, limit, per)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, err
	}
	now := time.Now()
	g := &gate{
		url: "http://" + listener.Addr().String(), prompt: prompt, window: w,
		began: now, early: now.Sub(now.Truncate(per)),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1.0/oauth2/accessToken", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"accessToken":"token","expireIn":7200}`)
	})
	mux.HandleFunc("POST /topapi/chat/updategroupnick", g.nickname)
	g.server = &http.Server{Handler: mux, ReadHeaderTimeout: callTimeout}
	go func() { _ = g.server.Serve(listener) }() // ends with Close alone
	return g, nil
}

func (g *gate) close() { _ = g.server.Close() }

// nickname counts a call even if its sender has disconnected, as a platform does.
func (g *gate) nickname(w http.ResponseWriter, r *http.Request) {
	who := r.PostFormValue("userid")
	if !g.prompt {
		<-time.After(rand.N(uplink)) //nolint:gosec // spreads, keeps no secret
	}
	seen := g.stalls && len(g.calls().of(who)) > 0
	if !g.judge(who) {
		answer(w, throttled)
		return
	}
	if g.stalls && !seen {
		<-r.Context().Done()
		return
	}
	if !g.prompt {
		<-time.After(leastWork + rand.N(mostWork-leastWork)) //nolint:gosec // spreads, keeps no secret
	}
	answer(w, `{"errcode":0,"errmsg":"ok","success":true,"request_id":"bench"}`)
}

// now is the time on the platform's clock.
func (g *gate) now() time.Duration { return time.Since(g.began) + g.early }

func (g *gate) judge(who string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.now()
	ok := g.window.take(at)
	g.judged = append(g.judged, call{At: at, OK: ok, who: who})
	return ok
}

// allow changes the limit and returns when.
func (g *gate) allow(limit int) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.window.allow(limit)
	return g.now()
}

// stranger is another client that makes calls in the same window, perSecond of them,
// until ctx ends.
func (g *gate) stranger(ctx context.Context, perSecond int) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.mu.Lock()
			g.window.take(g.now())
			g.mu.Unlock()
		}
	}
}

// calls are those judged so far.
func (g *gate) calls() calls {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clip(g.judged)
}

// until returns at that time of the platform's clock.
func (g *gate) until(ctx context.Context, at time.Duration) error {
	pause(ctx, at-g.now())
	return context.Cause(ctx)
}

// first waits for the first call and returns when it was counted.
func (g *gate) first(ctx context.Context) (time.Duration, error) {
	for g.now()-g.early < firstCall {
		if judged := g.calls(); len(judged) > 0 {
			return judged[0].At, nil
		}
		if err := g.until(ctx, g.now()+5*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no call within %s", firstCall)
}

// accepted waits for the first accepted call for a person.
func (g *gate) accepted(ctx context.Context, who string, until time.Duration) (time.Duration, error) {
	for g.now() < until {
		if at, ok := g.calls().arrivals()[who]; ok {
			return at, nil
		}
		if err := g.until(ctx, g.now()+2*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("the call for %s did not come", who)
}
