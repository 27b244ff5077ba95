package monitor

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// link leads from asynq's pages back to ours. It is put over them, because their layout is
// compiled.
const link = `<body><a href="/" style="position:fixed;right:8px;bottom:8px;z-index:2000;padding:4px 10px;border-radius:6px;` +
	`background:#1f5fae;color:#fff;font:14px system-ui,sans-serif;text-decoration:none">rollcall</a>`

// linked adds a link to our pages to the HTML of asynq's.
func (c Config) linked(ui http.Handler) http.Handler {
	if c.UI == nil {
		return ui
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, Path+"/api/") || strings.HasPrefix(r.URL.Path, Path+"/static/") {
			ui.ServeHTTP(w, r)
			return
		}
		page := &held{header: http.Header{}, status: http.StatusOK}
		ui.ServeHTTP(page, r)
		body := page.body.Bytes()
		if strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || bytes.HasPrefix(body, []byte("<!doctype html>")) {
			body = bytes.Replace(body, []byte("<body>"), []byte(link), 1)
			page.header.Set("Content-Length", strconv.Itoa(len(body)))
		}
		maps.Copy(w.Header(), page.header)
		w.WriteHeader(page.status)
		_, _ = w.Write(body) // the client may have left
	})
}

// held is an answer that is kept until it is whole: asynq's index page has 2 KB.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) { h.status = status }

// Write implements io.Writer.
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }
