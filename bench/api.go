package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/subprocess"
)

const (
	// posters is how many producers post tasks at the same time.
	posters = 200
	// apiTokens are shared by the producers, since each may send 1,000 requests a second.
	apiTokens = 10
	// apiStarts bounds how long a process is waited for.
	apiStarts = 30 * time.Second
	// apiLimit is a limit that is never reached.
	apiLimit = 100_000
)

// apiActs are the figures of the HTTP API.
func apiActs() []act {
	return []act{
		{{{names: []string{"api.tasks_per_second", "api.post_p99"}, play: apiTasks}}},
		{{{names: []string{"api.upload_seconds", "api.upload_mib"}, play: apiUpload}}},
	}
}

// apiSide is a process that takes tasks over HTTP and carries them out, with a Redis and a
// platform of its own.
type apiSide struct {
	process *process
	client  *http.Client
	tasks   string // URL that takes one task
	rows    string // URL that takes rows as NDJSON
	tokens  []string
	came    people
	redis   string // its address
}

// people are the users that a platform was called about.
type people struct {
	mu    sync.Mutex
	calls map[string]int
}

func (p *people) saw(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		p.calls = map[string]int{}
	}
	p.calls[user]++
}

// judge returns how many users were called about, and an error if one was so twice.
func (p *people) judge() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for user, n := range p.calls {
		if n > 1 {
			return 0, fmt.Errorf("the platform was called %d times about %s", n, user)
		}
	}
	return len(p.calls), nil
}

// onAPI calls do with the process of one side.
func (t *theatre) onAPI(ctx context.Context, peer bool, do func(context.Context, *apiSide) error) error {
	return withStore(ctx, func(_ *store, address string) (err error) {
		s := &apiSide{redis: address, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters}}}
		platform, err := startPlatform()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, platform.server.Close()) }()
		saw := s.came.saw
		platform.saw.Store(&saw)
		ports, err := subprocess.Ports(ctx, 1, 0)
		if err != nil {
			return err
		}
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		listen := "127.0.0.1:" + ports[0]
		if peer {
			s.tasks, s.rows = "http://"+listen+"/tasks", "http://"+listen+"/rows"
			s.process, err = t.startRole(ctx, apiPeerArgument, apiPeerSpec{Redis: address, Platform: platform.url, Listen: listen}, "api.peer.log", fail)
		} else {
			s.tasks, s.rows = "http://"+listen+"/v1/tasks", "http://"+listen+"/v1/runs"
			s.process, err = t.startAPIWorker(ctx, s, platform.url, listen, fail)
		}
		if err != nil {
			return err
		}
		defer s.process.stop()
		if err := s.ready(ctx); err != nil {
			return err
		}
		if err := do(ctx, s); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		return nil
	})
}

// startAPIWorker starts a worker that serves its API.
func (t *theatre) startAPIWorker(ctx context.Context, s *apiSide, platform, listen string, fail context.CancelCauseFunc) (*process, error) {
	var tokens strings.Builder
	for i := range apiTokens {
		token := fmt.Sprintf("rct_%043d", i)
		sum := sha256.Sum256([]byte(token))
		file := filepath.Join(t.dir, "token"+strconv.Itoa(i))
		if err := os.WriteFile(file, []byte("sha256:"+hex.EncodeToString(sum[:])), 0o600); err != nil {
			return nil, err
		}
		s.tokens = append(s.tokens, token)
		fmt.Fprintf(&tokens, "    - {name: t%d, scopes: [enqueue], expires: 2099-12-31, hash: {file: %q}}\n", i, file)
	}
	limit := fmt.Sprintf("calls: %d, per: 1s", apiLimit)
	config := workerConfig(s.redis, platform, limit, []string{tenant})
	config = strings.Replace(config, `http: {listen: "off"}`, fmt.Sprintf("egress: {%s}\nhttp: {listen: %q}\napi:\n  tokens:\n%s", limit, listen, tokens.String()), 1)
	file := filepath.Join(t.dir, "api.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return t.startWorker(ctx, file, "api.worker.log", fail)
}

// ready waits until the process answers.
func (s *apiSide) ready(ctx context.Context) error {
	for until := time.Now().Add(apiStarts); time.Now().Before(until) && ctx.Err() == nil; pause(ctx, 20*time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.tasks, nil)
		if err != nil {
			return err
		}
		if answer, err := s.client.Do(req); err == nil {
			return answer.Body.Close()
		}
	}
	return errors.Join(fmt.Errorf("no answer at %s", s.tasks), context.Cause(ctx))
}

// post sends a body, and fails unless it is answered with 201.
func (s *apiSide) post(ctx context.Context, url, kind string, token int, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	if len(s.tokens) > 0 {
		req.Header.Set("Authorization", "Bearer "+s.tokens[token%len(s.tokens)])
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusCreated {
		err = fmt.Errorf("POST %s: %s: %.300s", url, answer.Status, said)
	}
	return err
}

// rowOf is the nth task as a client sends it, and a line of NDJSON.
func rowOf(n int) []byte {
	one := task(n)
	line, _ := json.Marshal(map[string]string{ //nolint:errchkjson // of texts
		"kind": "nickname", "tenant": one.Tenant, "chat_id": one.ChatID, "user_id": one.UserID, "nickname": one.Nickname,
	})
	return append(line, '\n')
}

// posted is what producers measured.
type posted struct{ perSecond, p99 float64 }

// postAll lets all producers post tasks for a time, and waits until each was carried out
// once.
func (s *apiSide) postAll(ctx context.Context, t *theatre) (posted, error) {
	var next atomic.Int64
	took := make([][]float64, posters)
	group, within := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range posters {
		group.Go(func() error {
			for time.Since(began) < t.tempo.posting {
				body, from := rowOf(int(next.Add(1))), time.Now()
				if err := s.post(within, s.tasks, "application/json", i, bytes.NewReader(body)); err != nil {
					return err
				}
				took[i] = append(took[i], float64(time.Since(from).Microseconds())/1000)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return posted{}, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	result := posted{perSecond: float64(len(all)) / time.Since(began).Seconds(), p99: all[len(all)*99/100]}
	for until := time.Now().Add(t.tempo.deadline); ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		done, err := s.came.judge()
		if err != nil || done == len(all) {
			return result, err
		}
		if time.Now().After(until) {
			return result, fmt.Errorf("%d of %d tasks were carried out within %s", done, len(all), t.tempo.deadline)
		}
	}
	return result, context.Cause(ctx)
}

// apiTasks compares producers that post tasks, while the same process carries them out.
func apiTasks(ctx context.Context, t *theatre) ([]result, error) {
	var measured [2]posted
	for i := range measured {
		err := t.onAPI(ctx, i == 1, func(ctx context.Context, s *apiSide) (err error) {
			measured[i], err = s.postAll(ctx, t)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	ours, peer := measured[0], measured[1]
	peerIs := fmt.Sprintf("a net/http handler that calls asynq.Client.Enqueue, and an asynq server, in one process; %d producers for %s", posters, t.tempo.posting)
	return []result{
		{"api.tasks_per_second", ours.perSecond, peer.perSecond, "tasks/s", peerIs},
		{"api.post_p99", ours.p99, peer.p99, "ms", peerIs},
	}, nil
}

// upload sends n rows in one request. Its memory is the growth of the process.
func (s *apiSide) upload(ctx context.Context, n int) (spent, error) {
	pid := s.process.cmd.Process.Pid
	// 5 sets the highest memory to the current one.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
		return spent{}, err
	}
	before, err := memoryOf(pid, "VmHWM:")
	if err != nil {
		return spent{}, err
	}
	body, out := io.Pipe()
	go func() {
		buffered := bufio.NewWriterSize(out, 64<<10)
		for i := range n {
			_, _ = buffered.Write(rowOf(i)) // Flush has the error
		}
		_ = out.CloseWithError(buffered.Flush())
	}()
	defer func() { _ = body.Close() }()
	began := time.Now()
	if err := s.post(ctx, s.rows, "application/x-ndjson", 0, body); err != nil {
		return spent{}, err
	}
	took := time.Since(began).Seconds()
	highest, err := memoryOf(pid, "VmHWM:")
	return spent{seconds: took, mib: (highest - before) / mib}, err
}

// apiUpload compares an upload of many rows in one request until it is answered.
func apiUpload(ctx context.Context, t *theatre) ([]result, error) {
	var used [2]spent
	for i := range used {
		err := t.onAPI(ctx, i == 1, func(ctx context.Context, s *apiSide) (err error) {
			used[i], err = s.upload(ctx, t.tempo.rows)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	peerIs := fmt.Sprintf("a net/http handler that calls asynq.Client.Enqueue for each of %d lines, in one process with an asynq server", t.tempo.rows)
	return []result{
		{"api.upload_seconds", used[0].seconds, used[1].seconds, "s", peerIs},
		{"api.upload_mib", used[0].mib, used[1].mib, "MiB", peerIs},
	}, nil
}
