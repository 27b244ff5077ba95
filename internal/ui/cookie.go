package ui

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	formCookie   = "rollcall_form"   // token of the forms of a browser without a session
	noticeCookie = "rollcall_notice" // for the next page
	langCookie   = "rollcall_lang"

	noticeFor = 10 * time.Second
	// longestNotice bounds the arguments of a notice, in bytes: a cookie has 4 KB.
	longestNotice = 2000
)

func (u *UI) setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the browser has TLS
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: u.login.Encrypted(r),
		SameSite: http.SameSiteStrictMode,
	})
}

// formToken returns the token of the forms of a browser without a session, and gives it one.
func (u *UI) formToken(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(formCookie); err == nil && len(c.Value) == 43 {
		return c.Value
	}
	token := randomToken()
	u.setCookie(w, r, formCookie, token, 12*time.Hour)
	return token
}

// randomToken returns 256 random bits, in 43 characters.
func randomToken() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// sameToken compares tokens. No token equals none.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1 && a != ""
}

// storedNotice is a notice on its way to the next page. Its text is made there, from a
// message of ours, so that another site can plant no text of its own.
type storedNotice struct {
	Key  string `json:"key"`
	Args []any  `json:"args,omitempty"`
}

func (u *UI) leaveNotice(r *request, key string, args []any) {
	text, err := json.Marshal(storedNotice{key, args})
	if err != nil || len(text) > longestNotice {
		text, _ = json.Marshal(storedNotice{Key: "notice.done"})
	}
	u.setCookie(r.writer, r.Request, noticeCookie, base64.RawURLEncoding.EncodeToString(text), noticeFor)
}

func (u *UI) takeNotice(r *request) string {
	c, err := r.Cookie(noticeCookie)
	if err != nil {
		return ""
	}
	u.setCookie(r.writer, r.Request, noticeCookie, "", -time.Second)
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	var n storedNotice
	if err != nil || json.Unmarshal(text, &n) != nil || u.messages[n.Key].EN == "" {
		return ""
	}
	for i, arg := range n.Args {
		if number, is := arg.(float64); is && number == math.Trunc(number) {
			n.Args[i] = int64(number) // JSON has no whole numbers
		}
	}
	return r.t(n.Key, n.Args...)
}
