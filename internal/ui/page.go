package ui

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"rollcall/internal/access"
	"rollcall/internal/redisdb"
)

// request is a request of a known user.
type request struct {
	*http.Request

	User access.User
	Lang language

	ui     *UI
	writer http.ResponseWriter
	csrf   string
	notice string // for this page, in the user's language
}

// t returns a message in the user's language.
func (r *request) t(key string, args ...any) string { return r.ui.text(r.Lang, key, args...) }

// view is what a handler answers: a page, a redirection, or an answer of its own.
type view struct {
	page   string // "runs.html"
	title  string // key of a message
	data   any    // of the template, or a func() any that returns it if the page is rendered
	status int    // 0: 200
	live   bool   // the page refreshes itself
	ticks  bool   // it has ticks, which a reload would remove
	// same identifies what the page shows: the same value gives the same page to everybody
	// with the same role and language. nil: nothing does.
	same any
	// shared means that all users with the same role and language see the same list, which
	// may be sharedFor old when it is refreshed.
	shared bool

	to    string // redirect to this path
	key   string // of the notice on the next page; empty: none
	args  []any  // of the notice
	serve http.HandlerFunc
}

// show returns a page.
func show(page, title string, data any) view { return view{page: page, title: title, data: data} }

// refreshed makes a page refresh itself, every 3 s, or 10 s without JavaScript.
func (v view) refreshed() view { v.live = true; return v }

// watched makes a page refresh itself, every 3 s. Without JavaScript it does not: a reload would
// remove what the user has ticked.
func (v view) watched() view { v.live, v.ticks = true, true; return v }

// of identifies what a page shows, so that many open browsers share one rendering of it.
func (v view) of(same any) view { v.same = same; return v }

// list makes a page refresh itself, every 6 s, or 10 s without JavaScript. Many open browsers share
// a rendering for sharedFor.
func (v view) list() view { v.live, v.shared = true, true; return v }

// every returns after how many seconds a page is refreshed; 0: never.
func (v view) every() int {
	switch {
	case !v.live:
		return 0
	case v.shared:
		return 6
	}
	return 3
}

// seeOther returns the answer to a form: another page, with a notice on it.
func seeOther(to, notice string, args ...any) view { return view{to: to, key: notice, args: args} }

// served returns an answer that a function writes: a download.
func served(serve http.HandlerFunc) view { return view{serve: serve} }

// handler answers a request of a user who may make it.
type handler func(r *request) (view, error)

// errNotFound means that there is no such page or thing.
var errNotFound = errors.New("not found")

// userError is an error that the user can correct.
type userError struct {
	key    string // of the message
	args   []any
	status int // 0: 422
}

// Error returns the key: people read the message.
func (e *userError) Error() string { return e.key }

// mostForm bounds the body of a form, in bytes.
const mostForm = 1 << 20

// handle registers a page, and the role that its users need.
func (u *UI) handle(pattern string, role access.Role, h handler) {
	u.handleUpTo(pattern, role, mostForm, h)
}

// handleUpTo is handle for forms with files, of at most so many bytes. Files of more than 8
// MiB are on disk until the handler returns.
func (u *UI) handleUpTo(pattern string, role access.Role, most int64, h handler) {
	u.routes = append(u.routes, route{pattern, role})
	u.mux.HandleFunc(pattern, func(w http.ResponseWriter, hr *http.Request) {
		r, ok := u.admit(w, hr)
		if !ok {
			return
		}
		switch {
		case !r.User.May(role):
			u.fail(r, &userError{key: "error.role", args: []any{r.t("role." + string(role))}, status: http.StatusForbidden})
			return
		case access.OfOtherSite(hr):
			u.fail(r, errForged)
			return
		case hr.Method != http.MethodGet && hr.Method != http.MethodHead:
			if err := r.form(most); err != nil {
				u.fail(r, err)
				return
			}
			if hr.MultipartForm != nil {
				defer func() { _ = hr.MultipartForm.RemoveAll() }()
			}
			defer u.lives.forget()
		case u.shared(r):
			return
		}
		v, err := h(r)
		if err != nil {
			u.fail(r, err)
			return
		}
		u.answer(r, v)
	})
}

var errForged = &userError{key: "error.forged", status: http.StatusForbidden}

// form reads a form, and checks its token.
func (r *request) form(most int64) error {
	r.Body = http.MaxBytesReader(r.writer, r.Body, most)
	err := r.ParseMultipartForm(8 << 20)
	if errors.Is(err, http.ErrNotMultipart) {
		err = r.ParseForm()
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &userError{key: "error.large", status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return &userError{key: "error.form", status: http.StatusBadRequest}
	}
	if !sameToken(r.PostFormValue("csrf"), r.csrf) {
		return errForged
	}
	return nil
}

// admit returns the request of a user. Others are sent to the login, or refused.
func (u *UI) admit(w http.ResponseWriter, hr *http.Request) (*request, bool) {
	visitor, err := u.login.Identify(hr)
	if err == nil {
		r := u.visit(w, hr, visitor.User)
		if visitor.Token != "" {
			r.csrf = visitor.Token
		}
		return r, true
	}
	r := u.visit(w, hr, access.User{})
	wrong, is := errors.AsType[*access.WrongLoginError](err)
	switch {
	case errors.Is(err, access.ErrElsewhere):
		u.fail(r, &userError{key: "error.elsewhere", status: http.StatusForbidden})
	case errors.Is(err, access.ErrNoLogin):
		to := "/login"
		if next := hr.URL.RequestURI(); hr.Method == http.MethodGet && next != "/" {
			to += "?next=" + url.QueryEscape(next)
		}
		http.Redirect(w, hr, to, http.StatusSeeOther)
	case is && wrong.Wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(wrong.Seconds()))
		u.fail(r, &userError{key: "login.wait", args: []any{wrong.Seconds()}, status: http.StatusTooManyRequests})
	case is:
		w.Header().Set("WWW-Authenticate", `Basic realm="rollcall", charset="UTF-8"`)
		u.fail(r, &userError{key: "login.wrong", status: http.StatusUnauthorized})
	default:
		u.fail(r, err)
	}
	return nil, false
}

// visit returns the request of somebody who has no session.
func (u *UI) visit(w http.ResponseWriter, hr *http.Request, user access.User) *request {
	r := &request{Request: hr, User: user, Lang: languageOf(hr), ui: u, writer: w}
	r.csrf = u.formToken(w, hr)
	return r
}

// answer writes what a handler returns.
func (u *UI) answer(r *request, v view) {
	switch {
	case v.serve != nil:
		v.serve(r.writer, r.Request)
	case v.to != "":
		if v.key != "" {
			u.leaveNotice(r, v.key, v.args)
		}
		http.Redirect(r.writer, r.Request, v.to, http.StatusSeeOther)
	default:
		if r.Header.Get(access.LiveHeader) == "" {
			r.notice = u.takeNotice(r)
		}
		u.write(r, v)
	}
}

// write renders a page as a whole, so that an error has a page of its own.
func (u *UI) write(r *request, v view) {
	var page strings.Builder
	refreshes := r.refreshes() && v.live
	var err error
	if refreshes {
		err = u.refresh(r, v)
	} else {
		err = u.render(&page, r, v, "layout")
	}
	if err != nil {
		if v.page == "error.html" {
			u.log.Error("page not rendered", "page", v.page, "err", err)
			http.Error(r.writer, "page not rendered; see the worker's log", http.StatusInternalServerError)
			return
		}
		u.fail(r, err)
		return
	}
	if !refreshes {
		r.writePage(cmp.Or(v.status, http.StatusOK), page.String())
	}
}

// writePage writes a page whose parts have the token of a form between them.
func (r *request) writePage(status int, parts ...string) {
	r.writer.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.writer.Header().Set("Vary", "Cookie, Accept-Language")
	r.writer.WriteHeader(status)
	for i, part := range parts {
		if i > 0 {
			_, _ = io.WriteString(r.writer, r.csrf)
		}
		_, _ = io.WriteString(r.writer, part) // the client may have left
	}
}

// problem is what the page of an error shows.
type problem struct{ What, Todo, ID string }

// fail writes the page of an error.
func (u *UI) fail(r *request, err error) {
	v := view{page: "error.html", title: "error.title"}
	known, is := errors.AsType[*userError](err)
	fault, passing := redisdb.FaultOf(err)
	switch {
	case errors.Is(err, errNotFound):
		v.title, v.status, v.data = "error.missing", http.StatusNotFound, problem{What: r.t("error.notfound")}
	case is:
		v.status, v.data = known.status, problem{What: r.t(known.key, known.args...)}
		if v.status == 0 {
			v.status = http.StatusUnprocessableEntity
		}
	case passing:
		v.status = http.StatusServiceUnavailable
		v.data = problem{What: r.t("redis." + string(fault)), Todo: r.t("redis." + string(fault) + ".todo")}
		u.log.Warn("page not shown: redis unavailable", "path", r.URL.Path, "fault", string(fault))
	case r.Context().Err() != nil: // the client has left
		return
	default:
		id := uuid.NewString()
		v.status, v.data = http.StatusInternalServerError, problem{What: r.t("error.internal"), ID: id}
		u.log.Error("page failed", "id", id, "path", r.URL.Path, "err", err)
	}
	u.write(r, v)
}

// recovered turns a panic into an answer, if none has begun.
func (u *UI) recovered(w http.ResponseWriter, r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(value)
	}
	u.log.Error("page ended by a panic", "path", r.URL.Path, "panic", value, "stack", string(debug.Stack()))
	http.Error(w, "rollcall has a defect: report it with the worker's log", http.StatusInternalServerError)
}

// inside reports whether a path leads to a page of this server.
func inside(path string) bool {
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") &&
		!strings.ContainsAny(path, "\\\r\n") && !slices.Contains([]string{"/login", "/logout"}, u.Path)
}
