package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/access"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	runs "rollcall/internal/run"
	"rollcall/internal/subprocess"
)

const (
	// browsers are open at the same time.
	browsers = 50
	// peerPollsEvery is how often the script of asynqmon refreshes its list. Our pages name the
	// time themselves.
	peerPollsEvery = 8 * time.Second
	// pageUser logs in to the pages.
	pageUser, pagePassword = "ann", "a password of the bench"
	peerPage               = "/api/queues"
	peerViews              = 3 // each takes seconds
)

// openPages are shown by the browsers by turns: most show the first page.
var openPages = []string{"/", "/", "/", "/runs", "/dead-letters"}

// pageNames are the pages that are measured, as their figures name them.
var pageNames = []string{"now", "runs", "runs_old", "run", "dead", "dead_cause", "dead_task", "search", "target", "schedules", "audit"}

// pageActs are the figures of the operations page.
func pageActs() []act {
	var names []string
	for _, name := range pageNames {
		names = append(names, "page."+name+".p95", "page."+name+".commands")
	}
	names = append(names, "page.browsers.cpu", "page.reading.seconds", "page.reading.commands")
	return []act{{{{names: names, play: pages}}}}
}

// pages measures the pages of a large Redis, and asynqmon's list of queues on the same one.
func pages(ctx context.Context, t *theatre) (all []result, err error) {
	err = withStore(ctx, func(s *store, address string) error {
		paths, err := fillPages(ctx, s, t.tempo.page)
		if err != nil {
			return fmt.Errorf("fill Redis: %w", err)
		}
		peer, err := t.onPages(ctx, pageSpec{Redis: address, Peer: true}, []string{peerPage}, []string{peerPage})
		if err != nil {
			return err
		}
		ours, err := t.onPages(ctx, pageSpec{Redis: address}, paths, openPages)
		if err != nil {
			return err
		}
		peerIs := fmt.Sprintf("asynqmon's list of the same %d queues", 2*t.tempo.page.lanes)
		for i, name := range pageNames {
			all = append(all,
				result{"page." + name + ".p95", ours.p95[i], peer.p95[0], "ms", peerIs},
				result{"page." + name + ".commands", ours.commands[i], peer.commands[0], "commands", peerIs})
		}
		all = append(all, result{"page.browsers.cpu", ours.cpu, peer.cpu, "%_of_a_core", fmt.Sprintf("%s, which %d browsers read every %s", peerIs, browsers, peerPollsEvery)})
		seconds, commands, err := readingCosts(ctx, s.rdb)
		all = append(all,
			result{"page.reading.seconds", seconds, peer.p95[0] / 1000, "s", peerIs},
			result{"page.reading.commands", commands, peer.commands[0], "commands", peerIs})
		return err
	})
	return all, err
}

// readingCosts returns the median time of a reading of the state, and its commands. The process
// of the pages makes one at most every two seconds, however many look.
func readingCosts(ctx context.Context, rdb redis.UniversalClient) (seconds, commands float64, err error) {
	count := &commandCount{of: func(context.Context) bool { return true }}
	rdb.AddHook(count)
	record := ledger.New(rdb)
	reader := overview.NewReader(overview.Config{Redis: rdb, Ledger: record, Runs: runs.New(runs.Config{Redis: rdb, Ledger: record}), Within: drains})
	var took []float64
	for range 5 {
		reader.Refresh()
		count.n.Store(0)
		began := time.Now()
		if state := reader.State(ctx); state.Err != nil {
			return 0, 0, state.Err
		}
		took = append(took, time.Since(began).Seconds())
	}
	return median(took), float64(count.n.Load()), nil
}

// pageCosts are what one side measures.
type pageCosts struct {
	p95, commands []float64 // by page
	cpu           float64
}

// onPages starts the process of a side, and measures its pages one after another, then the
// process while many browsers show one of them.
func (t *theatre) onPages(ctx context.Context, spec pageSpec, paths, open []string) (c pageCosts, err error) {
	ports, err := subprocess.Ports(ctx, 1, 0)
	if err != nil {
		return c, err
	}
	spec.Listen = "127.0.0.1:" + ports[0]
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	server, err := t.startRole(ctx, pageArgument, spec, "pages.log", fail)
	if err != nil {
		return c, err
	}
	defer server.stop()
	v, err := newVisitor(ctx, spec)
	if err != nil {
		return c, err
	}
	views := t.tempo.views
	if spec.Peer {
		views = min(views, peerViews)
	}
	for _, path := range paths {
		p95, commands, err := v.measure(ctx, path, views)
		if err != nil {
			return c, err
		}
		c.p95, c.commands = append(c.p95, p95), append(c.commands, commands)
	}
	c.cpu, err = t.openBrowsers(ctx, spec, server.cmd.Process.Pid, open)
	return c, err
}

// openBrowsers returns the processor time of a process while many browsers show some pages.
func (t *theatre) openBrowsers(ctx context.Context, spec pageSpec, pid int, open []string) (cpu float64, err error) {
	polling, stop := context.WithCancel(ctx)
	defer stop()
	group, longest := new(errgroup.Group), time.Duration(0)
	for i := range browsers {
		v, err := newVisitor(ctx, spec)
		if err != nil {
			return 0, err
		}
		v.lang = []string{"zh-CN", "en"}[i%2]
		path, every := open[i%len(open)], peerPollsEvery
		if !spec.Peer {
			if every, err = v.refreshes(ctx, path); err != nil {
				return 0, err
			}
		}
		longest = max(longest, every)
		group.Go(func() error {
			pause(polling, every*time.Duration(i)/browsers)
			for polling.Err() == nil {
				if _, err := v.get(polling, path, true); err != nil && polling.Err() == nil {
					return err
				}
				pause(polling, every)
			}
			return nil
		})
	}
	pause(ctx, longest+t.tempo.warm)
	before, err := processorTime(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	pause(ctx, t.tempo.measured)
	after, err := processorTime(pid)
	cpu = 100 * (after - before).Seconds() / time.Since(began).Seconds()
	stop()
	if failed := group.Wait(); err == nil {
		err = failed
	}
	return cpu, err
}

// visitor is a browser that is logged in.
type visitor struct {
	client *http.Client
	base   string
	lang   string
}

// refreshEvery is the attribute of a page that the script of the pages reads.
var refreshEvery = regexp.MustCompile(`data-live="([0-9]+)"`)

// refreshes returns how often a browser refreshes a page.
func (v *visitor) refreshes(ctx context.Context, path string) (time.Duration, error) {
	body, err := v.get(ctx, path, false)
	if err != nil {
		return 0, err
	}
	found := refreshEvery.FindStringSubmatch(body)
	if found == nil {
		return 0, fmt.Errorf("page %s does not refresh itself", path)
	}
	return time.ParseDuration(found[1] + "s")
}

var tokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func newVisitor(ctx context.Context, spec pageSpec) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{client: &http.Client{Jar: jar, Transport: &http.Transport{}}, base: "http://" + spec.Listen, lang: "en"}
	start := "/login"
	if spec.Peer {
		start = "/"
	}
	var form string
	for until := time.Now().Add(apiStarts); ; pause(ctx, 20*time.Millisecond) {
		if form, err = v.get(ctx, start, false); err == nil {
			break
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return nil, fmt.Errorf("the pages do not start: %w", err)
		}
	}
	if spec.Peer {
		return v, nil
	}
	token := tokenField.FindStringSubmatch(form)
	if token == nil {
		return nil, fmt.Errorf("the login form has no token: %.300s", form)
	}
	_, err = v.do(ctx, http.MethodPost, "/login", url.Values{"name": {pageUser}, "password": {pagePassword}, "csrf": {token[1]}}, false)
	return v, err
}

func (v *visitor) get(ctx context.Context, path string, live bool) (string, error) {
	return v.do(ctx, http.MethodGet, path, nil, live)
}

func (v *visitor) do(ctx context.Context, method, path string, form url.Values, live bool) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept-Language", v.lang)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if live {
		request.Header.Set(access.LiveHeader, "1")
	}
	answer, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, body)
	}
	return string(body), err
}

// measure returns the 95th percentile of the time until a page is read, in ms, and the most
// commands that it needed.
func (v *visitor) measure(ctx context.Context, path string, views int) (p95, commands float64, err error) {
	took := make([]float64, 0, views)
	for range views {
		if _, err := v.get(ctx, countPath, false); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if _, err := v.get(ctx, path, false); err != nil {
			return 0, 0, err
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
		said, err := v.get(ctx, countPath, false)
		if err != nil {
			return 0, 0, err
		}
		var n float64
		if err := json.Unmarshal([]byte(said), &n); err != nil {
			return 0, 0, err
		}
		commands = max(commands, n)
	}
	slices.Sort(took)
	return took[(len(took)*95+99)/100-1], commands, nil
}
