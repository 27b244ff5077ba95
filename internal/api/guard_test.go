package api_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"rollcall/internal/api"
	"rollcall/internal/problem"
	"rollcall/internal/redistest"
)

// secrets are the tokens that no output may hold.
func secrets() []string { return []string{all, producer, reader, operator, stranger, wrong} }

func TestNothingGetsInWithoutARight(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	mine := r.planned(all, nicknames(1, 2))
	var zipped strings.Builder
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(oneTask))
	_ = z.Close()
	run := "/v1/runs/" + mine.ID
	digest := `{"digest":"` + mine.Plan.Digest + `"}`
	for name, c := range map[string]struct {
		call

		want string
	}{
		"no token":                        {call{method: "POST", path: "/v1/tasks", body: oneTask}, "unauthorized"},
		"wrong token":                     {call{method: "POST", path: "/v1/tasks", body: oneTask, token: wrong}, "unauthorized"},
		"basic authentication":            {call{method: "GET", path: "/v1/runs", headers: map[string]string{"Authorization": "Basic " + all}}, "unauthorized"},
		"two tokens in one header":        {call{method: "GET", path: "/v1/runs", headers: map[string]string{"Authorization": "Bearer " + wrong + ", Bearer " + all}}, "unauthorized"},
		"token in the query":              {call{method: "GET", path: "/v1/runs?access_token=" + all}, "token-in-query"},
		"token in query and header":       {call{method: "GET", path: "/v1/runs?token=" + all, token: all}, "token-in-query"},
		"scope enqueue for a read":        {call{method: "GET", path: "/v1/lanes", token: producer}, "scope-missing"},
		"scope read for a task":           {call{method: "POST", path: "/v1/tasks", body: oneTask, token: reader}, "scope-missing"},
		"scope read for an apply":         {call{method: "POST", path: run + "/apply", body: digest, token: reader}, "scope-missing"},
		"scope operate for an approval":   {call{method: "POST", path: run + "/approve", body: digest, token: operator}, "scope-missing"},
		"scope enqueue for a guard":       {call{method: "POST", path: "/v1/runs?allow=allow-id-changes", token: producer}, "scope-missing"},
		"scope read for a discard":        {call{method: "POST", path: "/v1/dead-letters/discard", body: `{"ids":["x"]}`, token: reader}, "scope-missing"},
		"task of another tenant":          {call{method: "POST", path: "/v1/tasks", body: oneTask, token: stranger}, "tenant-not-allowed"},
		"row of another tenant":           {call{method: "POST", path: "/v1/runs", kind: "application/x-ndjson", body: nicknames(1, 1), token: stranger}, "tenant-not-allowed"},
		"kept row of another tenant":      {call{method: "POST", path: "/v1/runs?invalid=keep", kind: "application/x-ndjson", body: nicknames(1, 1), token: stranger}, "tenant-not-allowed"},
		"run of another tenant":           {call{method: "GET", path: run, token: stranger}, "not-found"},
		"plan of another tenant":          {call{method: "GET", path: run + "/plan", token: stranger}, "not-found"},
		"apply to another tenant":         {call{method: "POST", path: run + "/apply", body: digest, token: stranger}, "not-found"},
		"run of another producer":         {call{method: "GET", path: run, token: producer}, "not-found"},
		"target of another tenant":        {call{method: "GET", path: "/v1/targets/lakeside-dt/nickname?target=chat1/u1", token: stranger}, "not-found"},
		"names of people in a file":       {call{method: "GET", path: run + "/results?format=csv", token: reader}, "names-not-allowed"},
		"compressed body":                 {call{method: "POST", path: "/v1/tasks", body: zipped.String(), token: all, headers: map[string]string{"Content-Encoding": "gzip"}}, "unsupported-content"},
		"page of another site":            {call{method: "POST", path: "/v1/tasks", body: oneTask, token: all, headers: map[string]string{"Origin": "https://evil.example"}}, "cross-origin"},
		"page of another site that reads": {call{method: "GET", path: "/v1/runs", token: all, headers: map[string]string{"Sec-Fetch-Site": "cross-site"}}, "cross-origin"},
		"preflight of another site":       {call{method: "OPTIONS", path: "/v1/tasks", headers: map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}}, "cross-origin"},
		"path with dots":                  {call{method: "GET", path: "/v1/problems/../runs", token: ""}, "unauthorized"},
		"path with encoded slashes":       {call{method: "GET", path: "/v1/problems%2f..%2fruns", token: ""}, "unauthorized"},
		"dots in a path with a token":     {call{method: "GET", path: "/v1/problems/../runs", token: all}, "not-found"},
		"encoded slashes with a token":    {call{method: "GET", path: "/v1/problems%2f..%2fruns", token: all}, "not-found"},
		"path with two slashes":           {call{method: "GET", path: "//v1//runs", token: all}, "not-found"},
		"method in a header":              {call{method: "POST", path: run, token: reader, body: "{}", headers: map[string]string{"X-HTTP-Method-Override": "GET"}}, "method-not-allowed"},
		"unknown parameter, no UTF-8":     {call{method: "GET", path: "/v1/runs?%ff=5", token: all}, "invalid-request"},
		"unknown parameter":               {call{method: "GET", path: "/v1/runs?limt=5", token: all}, "invalid-request"},
		"body that is too large":          {call{method: "POST", path: "/v1/tasks", token: all, body: `{"tenant":"` + strings.Repeat("x", 1<<20) + `"}`}, "too-large"},
		"repeated key in a body":          {call{method: "POST", path: run + "/seal", token: all, body: `{"rows":2,"rows":1}`}, "invalid-request"},
		"unknown field in a body":         {call{method: "POST", path: "/v1/tasks", token: all, body: strings.Replace(oneTask, `{`, `{"nick":"x",`, 1)}, "invalid-rows"},
		"run id that is a key":            {call{method: "GET", path: "/v1/runs/}:rows:0", token: all}, "not-found"},
	} {
		c.odd = true
		a := r.do(c.call)
		p := as[problem.Problem](t, a)
		if p.Type != "/v1/problems/"+c.want {
			t.Errorf("%s: %d %s, want %s", name, a.StatusCode, a.body, c.want)
		}
		for header := range a.Header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: the answer has the header %s", name, header)
			}
		}
		for _, secret := range secrets() {
			if strings.Contains(string(a.body)+fmt.Sprint(a.Header), secret) {
				t.Errorf("%s: the answer holds a token", name)
			}
		}
	}
	if n, err := r.rdb.Exists(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Result(); err != nil || n != 0 {
		t.Errorf("something was enqueued: %d, %v", n, err)
	}
	for _, secret := range secrets() {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log holds a token:\n%s", r.log.String())
		}
	}
	if left, err := r.service.Get(t.Context(), mine.ID); err != nil || left.State != "planned" {
		t.Errorf("%+v, %v", left, err)
	}
}

func TestATokenThatSendsTooMuchIsRefusedUntilLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{limits: api.Limits{PerSecond: 0.001, Burst: 2}})
	for i := range 2 {
		a := r.want(r.get(reader, "/v1/lanes"), http.StatusOK)
		if got, want := a.Header.Get("RateLimit"), fmt.Sprintf(`"token";r=%d;t=`, 1-i); !strings.HasPrefix(got, want) {
			t.Errorf("RateLimit %s, want %s…", got, want)
		}
		if got := a.Header.Get("RateLimit-Policy"); got != `"token";q=2;w=2000` {
			t.Errorf("RateLimit-Policy %s", got)
		}
	}
	a := r.get(reader, "/v1/lanes")
	if r.problem(a, "rate-limited"); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.want(r.get(operator, "/v1/lanes"), http.StatusOK) // another token
}

// Which of two uploads comes first is not certain: they are sent until the second is
// refused while the first is open.
func TestUploadsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{limits: api.Limits{Uploads: 1}})
	refused := false
	for deadline := time.Now().Add(patience); !refused && time.Now().Before(deadline); {
		body, send := io.Pipe()
		ended := make(chan error)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/runs", body)
			req.Header.Set("Authorization", "Bearer "+producer)
			req.Header.Set("Content-Type", "application/x-ndjson")
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			ended <- err
		}()
		_, _ = send.Write([]byte(nicknames(1, 1))) // fails if the first was refused
		if a := r.upload(producer, "/v1/runs", nicknames(2, 2)); a.StatusCode == http.StatusTooManyRequests {
			r.problem(a, "too-many-at-once")
			refused = true
		}
		_ = send.Close()
		<-ended
	}
	if !refused {
		t.Error("no upload was ever refused")
	}
	r.want(r.upload(producer, "/v1/runs", nicknames(3, 3)), http.StatusCreated)
}

// An upload counts until its rows are stored: so long it has a file, and a workbook has memory.
func TestAnUploadWhoseRowsAreBeingStoredCounts(t *testing.T) {
	t.Parallel()
	mini := redistest.One(t)
	arrived, gate := make(chan struct{}), make(chan struct{})
	open, arrive := sync.OnceFunc(func() { close(gate) }), sync.OnceFunc(func() { close(arrived) })
	proxy := redistest.NewProxy(t, mini.Addr, func(request []byte) redistest.Fault {
		if strings.Contains(string(request), ":rows:0") {
			arrive()
			<-gate
		}
		return redistest.Pass
	}, nil)
	defer open()
	r := newRig(t, &redistest.Server{Addr: proxy.Addr()}, options{limits: api.Limits{Uploads: 1}})
	first := make(chan answer, 1)
	go func() {
		a, err := r.try(t.Context(), call{method: http.MethodPost, path: "/v1/runs", token: producer, kind: "application/x-ndjson", body: nicknames(1, 1)})
		if err != nil {
			t.Error(err)
		}
		first <- a
	}()
	<-arrived
	r.problem(r.upload(producer, "/v1/runs", nicknames(2, 2)), "too-many-at-once")
	open()
	r.want(<-first, http.StatusCreated)
	r.want(r.upload(producer, "/v1/runs", nicknames(3, 3)), http.StatusCreated)
}

// A workbook is compressed: parts that unpack to too much are refused.
func TestAWorkbookThatIsABombIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	book := excelize.NewFile()
	for i, row := range [][]any{{"tenant", "chat_id", "user_id", "nickname"}, {tenant, "chat1", "u1", "A"}} {
		if err := book.SetSheetRow("Sheet1", fmt.Sprint("A", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(plain.Bytes()), int64(plain.Len()))
	if err != nil {
		t.Fatal(err)
	}
	// with returns the workbook with blanks before the end of a part.
	with := func(name string, blanks int) string {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, f := range archive.File {
			content, err := fs.ReadFile(archive, f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if f.Name == name {
				at := bytes.LastIndex(content, []byte("</"))
				content = slices.Concat(content[:at], bytes.Repeat([]byte(" "), blanks), content[at:])
			}
			part, err := w.Create(f.Name)
			if err == nil {
				_, err = part.Write(content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	send := func(body string) answer {
		return r.do(call{method: http.MethodPost, path: "/v1/runs", token: all, kind: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", body: body})
	}
	for _, part := range []string{"xl/styles.xml", "xl/workbook.xml"} {
		r.want(send(with(part, 1<<20)), http.StatusCreated)
		bomb := with(part, 9<<20)
		if len(bomb) > 64<<10 {
			t.Fatalf("the bomb has %d bytes", len(bomb))
		}
		if p := r.problem(send(bomb), "invalid-file"); !strings.Contains(p.Detail, "larger than this program reads") {
			t.Errorf("%+v", p)
		}
	}
}
