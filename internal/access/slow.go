package access

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"
)

const (
	// patience is how long a client may send nothing in all.
	patience = 10 * time.Second
	// leastRate is how many bytes per second a client must send or read beyond that.
	leastRate = 1 << 10
	// writePatience is how long a client may leave one part of an answer unread.
	writePatience = 30 * time.Second
)

// NewServer returns a server that cuts clients whose headers or small requests come too slowly,
// or that do not read its answers. A Guard has deadlines of its own for bodies and answers.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// ErrSlow is the error of a body whose client sends less than 1 KiB/s. It is an
// os.ErrDeadlineExceeded.
var ErrSlow = fmt.Errorf("the body is sent too slowly, less than 1 KiB/s: %w", os.ErrDeadlineExceeded)

// limitBody bounds the length of a body and the time that its client may take. The
// server's own deadlines, which fit small requests, end. Call the function that it returns
// when the handler is done: the server reads what is left of a body before it answers.
func limitBody(w http.ResponseWriter, r *http.Request, control *http.ResponseController, most int64) (done func()) {
	// A server that knows no deadlines is one of a test.
	_ = control.SetWriteDeadline(time.Time{})
	_ = control.SetReadDeadline(time.Time{})
	if r.ContentLength == 0 { // -1: the length is not known
		return func() {}
	}
	b := &body{ReadCloser: http.MaxBytesReader(w, r.Body, most), control: control, left: patience}
	r.Body = b
	return func() {
		if !b.ended {
			_ = control.SetReadDeadline(time.Now().Add(min(b.left, patience)))
		}
	}
}

// body cuts a client that is too slow. Only the time in Read counts: the handler may take
// as long as it needs.
type body struct {
	io.ReadCloser

	control *http.ResponseController
	left    time.Duration // that the client may keep the handler waiting
	ended   bool          // all was read
}

// Read implements io.Reader. Its error is ErrSlow once the client has used up its time.
func (b *body) Read(p []byte) (int, error) {
	began := time.Now()
	_ = b.control.SetReadDeadline(began.Add(b.left))
	n, err := b.ReadCloser.Read(p)
	b.left += time.Duration(n)*time.Second/leastRate - time.Since(began)
	b.left = min(b.left, time.Hour)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrSlow
	}
	b.ended = errors.Is(err, io.EOF) // then the server reads on without a deadline, to notice a client that leaves
	return n, err
}

// answer remembers the status of an answer, and cuts a client that does not read it.
type answer struct {
	http.ResponseWriter

	control *http.ResponseController
	status  int // 0: none was written
}

func (w *answer) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *answer) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writePatience + time.Duration(len(p))*time.Second/leastRate))
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // an http.ResponseWriter
}

// Unwrap is for http.ResponseController.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
