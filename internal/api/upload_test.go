package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// keysOf are the keys of the rows of a run, in order.
func (r *rig) keysOf(id string) []string {
	r.t.Helper()
	var keys []string
	for row, err := range r.service.Rows(r.t.Context(), id) {
		if err != nil {
			r.t.Fatal(err)
		}
		keys = append(keys, row.Request.Options.Key)
	}
	return keys
}

func numbered(n int) []string {
	var keys []string
	for i := 1; i <= n; i++ {
		keys = append(keys, fmt.Sprint("k", i))
	}
	return keys
}

// cut sends a request with the beginning of its body alone, and closes the connection for
// writing. It returns once the server has ended the request.
func (r *rig) cut(c call, at int) answer {
	r.t.Helper()
	host := strings.TrimPrefix(r.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		c.method, c.path, host, c.token, c.kind, len(c.body), c.body[:at])
	if err == nil {
		err = conn.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp, body}
}

// cutUpload cuts an upload, which must be refused because of that.
func (r *rig) cutUpload(path, body string, at int) {
	r.t.Helper()
	a := r.cut(call{method: http.MethodPost, path: path, token: producer, kind: "application/x-ndjson", body: body}, at)
	r.problem(a, "invalid-file")
}

func TestABodyOfJSONThatIsCutAtAnyByteIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	made := r.planned(all, nicknames(1, 2))
	of, digest := "/v1/runs/"+made.ID, `{"digest":"`+made.Plan.Digest[:8]+`"}`
	for path, body := range map[string]string{
		"/v1/tasks": oneTask, of + "/seal": `{"rows":2}`, of + "/exclude": digest[:len(digest)-1] + `,"rows":[1]}`, of + "/apply": digest,
		of + "/approve": digest, of + "/reject": `{"reason":"x"}`, of + "/pause": `{"reason":"x"}`, of + "/cancel": `{"reason":"x"}`,
		"/v1/dead-letters/replay": `{"ids":["a"]}`, "/v1/dead-letters/discard": `{"ids":["a"]}`,
	} {
		for at := range body {
			a := r.cut(call{method: http.MethodPost, path: path, token: all, kind: "application/json", body: body}, at)
			status, problem := http.StatusBadRequest, "invalid-request"
			if path == "/v1/tasks" {
				status, problem = http.StatusUnprocessableEntity, "invalid-file"
			}
			if r.problem(a, problem); a.StatusCode != status || !strings.Contains(string(a.body), "was cut") {
				t.Fatalf("%s, cut at byte %d: %d %s", path, at, a.StatusCode, a.body)
			}
		}
	}
	if left, err := r.service.Get(t.Context(), made.ID); err != nil || left.State != run.StatePlanned || left.Plan.Digest != made.Plan.Digest {
		t.Errorf("%+v, %v", left, err)
	}
}

func TestAnUploadThatIsCutAtAnyLineIsRepeatedWithoutALossOrADuplicate(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, options{})
		const parts, rows = 3, 4
		made := as[wire.Run](t, r.want(r.post(producer, "/v1/runs", ""), http.StatusCreated))
		if made.State != run.StateUploading || made.Sealed {
			t.Fatalf("%+v", made)
		}
		for part := range parts {
			body := nicknames(part*rows+1, (part+1)*rows)
			path := fmt.Sprintf("/v1/runs/%s/rows?from=%d", made.ID, part*rows)
			for at, c := range body {
				if c == '\n' || at%37 == 0 { // at each end of a line, and inside of lines
					r.cutUpload(path, body, at)
				}
			}
			for range 2 {
				added := as[wire.Added](t, r.want(r.upload(producer, path, body), http.StatusOK))
				if added.RowsIn != (part+1)*rows || added.Read != rows {
					t.Fatalf("%+v", added)
				}
			}
		}
		r.problem(r.upload(producer, "/v1/runs/"+made.ID+"/rows?from=13", nicknames(14, 14)), "missing-rows")
		p := r.problem(r.post(producer, "/v1/runs/"+made.ID+"/seal", `{"rows":13}`), "missing-rows")
		if p.RowsIn == nil || *p.RowsIn != 12 {
			t.Errorf("rows_in %v", p.RowsIn)
		}
		for range 2 {
			r.want(r.post(producer, "/v1/runs/"+made.ID+"/seal", `{"rows":12}`), http.StatusOK)
		}
		r.want(r.upload(producer, "/v1/runs/"+made.ID+"/rows?from=8", nicknames(9, 12)), http.StatusOK) // a repeat after the seal
		r.problem(r.upload(producer, "/v1/runs/"+made.ID+"/rows?from=12", nicknames(13, 13)), "wrong-state")
		r.plan(producer, made.ID)
		if diff := cmp.Diff(numbered(12), r.keysOf(made.ID)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARunThatIsMadeWithItsRowsIsMadeOnceWhereverItIsCut(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	body := nicknames(1, 5)
	for at, c := range body {
		if c == '\n' {
			r.cutUpload("/v1/runs", body, at)
		}
	}
	if page := as[wire.RunPage](t, r.get(producer, "/v1/runs")); len(page.Runs) != 0 {
		t.Fatalf("a cut upload made %+v", page.Runs)
	}
	send := func() wire.Run {
		return as[wire.Run](t, r.want(r.do(call{method: "POST", path: "/v1/runs", token: producer, kind: "application/x-ndjson", body: body, headers: map[string]string{"Idempotency-Key": "term-7"}}), http.StatusCreated))
	}
	first, second := send(), send()
	if first.ID != second.ID || first.Rows != 5 || !first.Sealed {
		t.Errorf("%+v\n%+v", first, second)
	}
	r.plan(producer, first.ID)
	if diff := cmp.Diff(numbered(5), r.keysOf(first.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryInvalidRowIsReportedAndNoneIsStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	rows := nicknames(1, 2) +
		`{"tenant":"lakeside-dt","chat_id":"chat1","user_id":"u3"}` + "\n" +
		`{"tenant":"lakeside-dt","chat_id":"chat1","user_id":"u4","nickname":"李娜","urgent":"perhaps"}` + "\n" +
		`{"tenant":"absent-dt","chat_id":"chat1","user_id":"u5","nickname":"李娜"}` + "\n"
	p := r.problem(r.upload(all, "/v1/runs?kind=nickname", rows), "invalid-rows")
	var at []string
	for _, e := range p.Errors {
		at = append(at, fmt.Sprint(e.Line, e.Column))
	}
	if diff := cmp.Diff([]string{"3nickname", "4urgent", "5tenant"}, at); diff != "" || p.InvalidRows != 3 {
		t.Errorf("%d invalid rows: %s%+v", p.InvalidRows, diff, p.Errors)
	}
	if strings.Contains(fmt.Sprint(p), "李娜") {
		t.Errorf("the problem holds a name: %+v", p)
	}
	if page := as[wire.RunPage](t, r.get(all, "/v1/runs")); len(page.Runs) != 0 {
		t.Errorf("%+v", page)
	}
	made := as[wire.Run](t, r.want(r.upload(all, "/v1/runs?kind=nickname&invalid=keep", rows), http.StatusCreated))
	plan := r.plan(all, made.ID)
	if got := plan.Run.Plan.Counts; got[run.RowNew] != 2 || got[run.RowImpossible] != 3 {
		t.Errorf("%v", got)
	}
	if len(plan.Rows[2].Problems) == 0 {
		t.Errorf("%+v", plan.Rows[2])
	}
	r.problem(r.upload(all, "/v1/runs", "{not json}\n"), "invalid-file")
	r.problem(r.do(call{method: "POST", path: "/v1/runs", token: all, kind: "text/plain", body: "x", odd: true}), "unsupported-content")
}

func TestRowsAreReadInEachFormat(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	book := excelize.NewFile()
	for i, row := range [][]any{{"租户", "群ID", "用户ID", "群昵称", "key"}, {tenant, "chat1", "u1", "王芳1", "k1"}, {tenant, "chat1", "u2", "王芳2", "k2"}} {
		if err := book.SetSheetRow("Sheet1", fmt.Sprint("A", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	var workbook bytes.Buffer
	if err := book.Write(&workbook); err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[string]string{
		"application/x-ndjson": nicknames(1, 2),
		"text/csv":             "tenant,chat_id,user_id,nickname,key,remark\nlakeside-dt,chat1,u1,王芳1,k1,x\nlakeside-dt,chat1,u2,王芳2,k2,x\n",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": workbook.String(),
	} {
		made := as[wire.Run](t, r.want(r.do(call{method: "POST", path: "/v1/runs", token: all, kind: kind, body: body}), http.StatusCreated))
		r.plan(all, made.ID)
		if diff := cmp.Diff(numbered(2), r.keysOf(made.ID)); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		if kind == "text/csv" && !cmp.Equal(made.Ignored, []string{"remark"}) {
			t.Errorf("ignored %v", made.Ignored)
		}
	}
}
