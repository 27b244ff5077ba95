package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
	"github.com/xuri/excelize/v2"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/problem"
	"rollcall/internal/registry"
	"rollcall/internal/run"
)

// fuzzed returns an API without a server and a guard. The fuzz target of the token header is
// in package access.
func fuzzed(f *testing.F) *api.API {
	f.Helper()
	mini := miniredis.RunT(f)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	f.Cleanup(func() { _ = rdb.Close() })
	var lanes []registry.Lane
	for _, kind := range kinds.Names() {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind})
	}
	if err := registry.Publish(f.Context(), rdb, lanes); err != nil {
		f.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{mini.Addr()}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = client.Close() })
	a := api.New(api.Config{
		Runs: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}), Producer: client, Redis: rdb,
		Limits: api.Limits{PerSecond: 1e9},
	})
	f.Cleanup(a.Close)
	return a
}

// judgeAnswer fails if the API has failed, or has refused without a problem.
func judgeAnswer(t *testing.T, a *httptest.ResponseRecorder) {
	t.Helper()
	if a.Code >= http.StatusInternalServerError {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a.Code < http.StatusBadRequest {
		return
	}
	var p problem.Problem
	if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || !strings.HasPrefix(p.Type, "/v1/problems/") || p.Status != a.Code {
		t.Fatalf("%d %s: %v", a.Code, a.Body, err)
	}
}

func FuzzTask(f *testing.F) {
	a := fuzzed(f)
	for _, seed := range []string{
		oneTask, `{}`, `[]`, `null`, `{"kind":"id","tenant":"lakeside-dt","user_id":"u","dingtalk_id":"abcd1234","alternatives":["b"]}`,
		"{\n \"kind\": \"group\", \"tenant\": \"lakeside-dt\", \"chat_id\": \"c\", \"add_user_ids\": [\"a\"], \"searchable\": 1}",
		`{"tenant":"lakeside-dt","tenant":"x"}`, `{"kind":"course","tenant":"lakeside-dt","course_id":1e400,"at":"+1h","source":"s","number":7}`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(access.With(t.Context(), newWallet()[all]), http.MethodPost, "/v1/tasks", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		judgeAnswer(t, w)
	})
}

// Each format of rows, as the body of a new run and as a part of one.
func FuzzRows(f *testing.F) {
	a := fuzzed(f)
	book := excelize.NewFile()
	for i, row := range [][]any{{"tenant", "chat_id", "user_id", "nickname"}, {tenant, "chat1", "u1", "A"}} {
		if err := book.SetSheetRow("Sheet1", fmt.Sprint("A", i+1), &row); err != nil {
			f.Fatal(err)
		}
	}
	workbook, err := book.WriteToBuffer()
	if err != nil {
		f.Fatal(err)
	}
	formats := []string{"application/x-ndjson", "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
	send := func(t testing.TB, path, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(access.With(t.Context(), newWallet()[all]), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	for _, seed := range []string{
		nicknames(1, 3), "tenant,chat_id,user_id,nickname\nlakeside-dt,c,u,n\n", "\xef\xbb\xbf租户;群ID;用户ID;群昵称\r\nlakeside-dt;c;u;n\r\n",
		workbook.String(), "PK\x03\x04", "PK\x05\x06" + strings.Repeat("\x00", 18), "{}\n{\n", "\x00", "sep=;\n", "", "\n\n",
		`{"tenant":"lakeside-dt","chat_id":"c","user_id":"u","nickname":"n","line":"7","problems":"a\nb"}` + "\n",
	} {
		for kind := range uint8(len(formats)) {
			f.Add(kind, "refuse", false, seed)
			f.Add(kind, "keep", true, seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, invalid string, part bool, body string) {
		path := "/v1/runs?invalid=refuse"
		if part {
			made := send(t, "/v1/runs", "", "")
			path = made.Header().Get("Location") + "/rows?from=0&annotated=true&invalid=refuse"
		}
		if invalid == "keep" {
			path = strings.Replace(path, "invalid=refuse", "invalid=keep", 1)
		}
		judgeAnswer(t, send(t, path, formats[int(kind)%len(formats)], body))
	})
}

func FuzzSteering(f *testing.F) {
	a := fuzzed(f)
	for _, seed := range []string{`{"digest":"01234567"}`, `{"rows":1}`, `{"rows":1e400}`, `{"reason":"x"}`, `{"ids":["a"]}`, `{"ids":[]}`, "{", ""} {
		for operation := range uint8(6) {
			f.Add(operation, "01JD7Z5W9T3K8Q2M4N6P8R0S1V", seed)
		}
	}
	operations := []string{"apply", "seal", "exclude", "pause", "reject", "approve"}
	f.Fuzz(func(t *testing.T, operation uint8, id, body string) {
		r := httptest.NewRequestWithContext(access.With(t.Context(), newWallet()[all]), http.MethodPost, "/v1/runs/x/"+operations[int(operation)%len(operations)], strings.NewReader(body))
		r.URL.Path = strings.Replace(r.URL.Path, "/x/", "/"+id+"/", 1)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		judgeAnswer(t, w)
		if w.Code < http.StatusBadRequest {
			t.Fatalf("a run that does not exist was changed: %d %s", w.Code, w.Body)
		}
	})
}
