package ui_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/run"
	"rollcall/internal/sandbox"
	"rollcall/internal/schooltest"
	"rollcall/internal/ui"
)

// patience bounds how long a test waits for an expected event.
const patience = 2 * time.Minute

// upload sends a file with fields of the form.
func (b *browser) upload(name, content string, fields ...string) page {
	b.r.t.Helper()
	return b.send("/runs/new", name, content, append([]string{"csrf", b.token("/runs/new")}, fields...))
}

// send posts a form with a file. Without a name there is no file.
func (b *browser) send(path, name, content string, fields []string) page {
	b.r.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		_ = form.WriteField(fields[i], fields[i+1])
	}
	if name != "" {
		part, err := form.CreateFormFile("file", name)
		if err != nil {
			b.r.t.Fatal(err)
		}
		_, _ = io.WriteString(part, content)
	}
	_ = form.Close()
	request, err := http.NewRequestWithContext(context.WithoutCancel(b.r.t.Context()), http.MethodPost, b.r.url+path, &body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Accept-Language", b.lang)
	response, err := b.client.Do(request)
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(answer))
	if err != nil {
		b.r.t.Fatal(err)
	}
	return page{response.StatusCode, response.Request.URL.RequestURI(), response.Header, string(answer), doc}
}

var runPath = regexp.MustCompile(`^/runs/(r[a-z0-9]+)`)

// id is the run that a page shows.
func (p page) id(t *testing.T) string {
	t.Helper()
	m := runPath.FindStringSubmatch(p.path)
	if p.status != http.StatusOK || m == nil {
		t.Fatalf("no page of a run: %d %s: %s", p.status, p.path, p.text("main"))
	}
	return m[1]
}

// planned uploads a file, and returns the run with its plan.
func (b *browser) planned(content string, fields ...string) run.Run {
	b.r.t.Helper()
	return b.r.plannedRun(b.upload("names.csv", content, fields...).id(b.r.t))
}

// plannedRun waits for the plan of a run.
func (r *rig) plannedRun(id string) run.Run {
	r.t.Helper()
	return r.until(id, func(made run.Run) bool { return made.Plan != nil })
}

func (r *rig) until(id string, is func(run.Run) bool) run.Run {
	r.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		made, err := r.runs.Get(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if is(made) {
			return made
		}
		if time.Now().After(end) {
			r.t.Fatalf("run %s is %s: %s %v", id, made.State, made.Progress, made.Outcomes)
		}
	}
}

// steer presses a button of the page of a run.
func (b *browser) steer(id, name string, fields ...string) page {
	b.r.t.Helper()
	return b.submit("/runs/"+id+"/"+name, fields...)
}

// noted returns the events of a kind, as "user: name: reason".
func (r *rig) noted(event string) []string {
	r.t.Helper()
	events, err := audit.Read(r.t.Context(), r.rdb, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, e := range events {
		if e.Event == event {
			all = append(all, strings.TrimSuffix(e.By+": "+e.Name+": "+e.Reason, ": "))
		}
	}
	return all
}

// school starts a platform and a worker that sends to it.
func (r *rig) school(members int) *sandbox.Sandbox {
	r.t.Helper()
	box, at := schooltest.Start(r.t, members)
	schooltest.Worker{
		URL: at, Redis: r.redis.Client(r.t), Producer: r.producer, Limits: []pace.Limit{{Calls: 500, Per: time.Second}}, Log: r.log.Logger(),
	}.Start(r.t)
	return box
}

// rows are lines of a file that names members, as "u1,A".
func rows(lines ...string) string {
	var b strings.Builder
	b.WriteString("tenant,chat_id,user_id,nickname\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "%s,chat1,%s\n", tenant, line)
	}
	return b.String()
}

// counted returns a browser of an administrator at pages whose commands are counted, but for
// the reading of the state, which serves all who look.
func (r *rig) counted(c counter) *browser {
	r.t.Helper()
	rdb := r.redis.Client(r.t)
	rdb.AddHook(c)
	record, now := ledger.New(rdb), time.Now() // A list is shared for some seconds, which do not pass.
	pages := ui.New(ui.Config{
		Login: access.NewLogin(access.LoginConfig{Users: r.users, Sessions: access.NewSessions(rdb, time.Now)}),
		Redis: rdb, Ledger: record, Runs: run.New(run.Config{Redis: rdb, Ledger: record}), Producer: r.producer, State: r.state,
		Zone: time.UTC, Log: r.log.Logger(), Now: func() time.Time { return now },
	})
	server := httptest.NewServer(pages)
	r.t.Cleanup(pages.Close)
	r.t.Cleanup(server.Close)
	other := *r
	other.url = server.URL
	return other.as(access.Administrator)
}

// values are the pairs of a form.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}
