package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// ending is how a call ends on the wire. The zero value sends the answer.
type ending uint8

const (
	endSent ending = iota
	endHang
	endReset
)

type answer struct {
	status      int
	contentType string
	headers     map[string]string
	code        string // for the log
	body        []byte
	requestID   string
	at          time.Time // of the decision, on the platform's clock
	ending      ending
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// Only our own structs are encoded here, which cannot fail.
		panic(fmt.Sprintf("sandbox: encode an answer: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// banAnswer is the firewall's answer: it lacks the platform's envelope, and has HTTP
// 200, which a careless client takes for a success.
func banAnswer(requestID string) answer {
	return answer{status: http.StatusOK, contentType: jsonType, code: "1111", body: encode(struct {
		Status int    `json:"status"`
		Wait   int    `json:"wait"`
		Source string `json:"source"`
		Punish string `json:"punish"`
		UUID   string `json:"uuid"`
	}{1111, 5, "x5", "deny", requestID})}
}

func (s *Sandbox) deliver(w http.ResponseWriter, r *http.Request, a answer) {
	switch a.ending {
	case endHang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		reset(w)
		return
	case endReset:
		reset(w)
		return
	default:
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Sandbox-Request-Id", a.requestID)
	// The platform's clock: clients measure their own against it.
	h.Set("Date", a.at.UTC().Format(http.TimeFormat))
	for name, value := range a.headers {
		h.Set(name, value)
	}
	w.WriteHeader(a.status)
	// The client may have disconnected.
	_, _ = w.Write(a.body)
}

// reset closes the connection with RST instead of FIN, as when a device in between
// loses its state. If the connection cannot be taken over, the server aborts the
// response.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	under := conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		under = secured.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = under.Close()
}

const (
	lowerAlphanumeric = "0123456789abcdefghijklmnopqrstuvwxyz"
	upperHex          = "0123456789ABCDEF"
	lowerHex          = "0123456789abcdef"
)

// requestID has the form of the vendors' samples: twelve lower-case letters and digits
// on the old host, an upper-case UUID on the new one.
func (s *Sandbox) requestID(d *dialect) string {
	if d.numeric {
		return s.draw(12, lowerAlphanumeric)
	}
	parts := make([]string, 0, 5)
	for _, n := range []int{8, 4, 4, 4, 12} {
		parts = append(parts, s.draw(n, upperHex))
	}
	return strings.Join(parts, "-")
}

func (s *Sandbox) draw(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.rand.IntN(len(alphabet))]
	}
	return string(b)
}
