package ui

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/access"
)

func (u *UI) loginRoutes() {
	u.mux.HandleFunc("GET /login", u.loginPage)
	u.mux.HandleFunc("POST /login", u.enter)
	u.mux.HandleFunc("POST /logout", u.leave)
	u.mux.HandleFunc("POST /language", u.setLanguage)
}

// loginForm is what the login shows.
type loginForm struct {
	Next, Name string
	Problem    string
}

// free returns the request of somebody who may have no login, and checks the token of a form.
func (u *UI) free(w http.ResponseWriter, hr *http.Request) (*request, bool) {
	r := u.visit(w, hr, access.User{})
	if visitor, err := u.login.Identify(hr); err == nil {
		r.User, r.csrf = visitor.User, cmp.Or(visitor.Token, r.csrf)
	} else if errors.Is(err, access.ErrElsewhere) {
		u.fail(r, &userError{key: "error.elsewhere", status: http.StatusForbidden})
		return r, false
	}
	if access.OfOtherSite(hr) {
		u.fail(r, errForged)
		return r, false
	}
	if hr.Method != http.MethodPost {
		return r, true
	}
	if err := r.form(mostForm); err != nil {
		u.fail(r, err)
		return r, false
	}
	return r, true
}

func (u *UI) loginPage(w http.ResponseWriter, hr *http.Request) {
	r, ok := u.free(w, hr)
	if !ok {
		return
	}
	next := hr.URL.Query().Get("next")
	if !inside(next) {
		next = "/"
	}
	if u.login.Users.Empty() || u.login.Sessions == nil {
		http.Redirect(w, hr, next, http.StatusSeeOther) //nolint:gosec // inside these pages
		return
	}
	u.write(r, show("login.html", "login.title", loginForm{Next: next}))
}

// enter checks a name and a password, and begins a session.
func (u *UI) enter(w http.ResponseWriter, hr *http.Request) {
	r, ok := u.free(w, hr)
	if !ok {
		return
	}
	form := loginForm{Next: r.PostFormValue("next"), Name: r.PostFormValue("name")}
	if !inside(form.Next) {
		form.Next = "/"
	}
	account, err := u.login.Check(hr, form.Name, r.PostFormValue("password"))
	wrong, is := errors.AsType[*access.WrongLoginError](err)
	if is || u.login.Sessions == nil {
		v := show("login.html", "login.title", nil)
		v.status, form.Problem = http.StatusUnauthorized, r.t("login.wrong")
		if is && wrong.Wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wrong.Seconds()))
			v.status, form.Problem = http.StatusTooManyRequests, r.t("login.wait", wrong.Seconds())
		}
		v.data = form
		u.write(r, v)
		return
	}
	u.login.Enter(w, hr, account)
	http.Redirect(w, hr, form.Next, http.StatusSeeOther)
}

func (u *UI) leave(w http.ResponseWriter, hr *http.Request) {
	r, ok := u.free(w, hr)
	if !ok {
		return
	}
	if err := u.login.Leave(w, hr); err != nil {
		u.fail(r, err)
		return
	}
	http.Redirect(w, hr, "/login", http.StatusSeeOther)
}

// languageFor is how long a browser keeps the language.
const languageFor = 400 * 24 * time.Hour

func (u *UI) setLanguage(w http.ResponseWriter, hr *http.Request) {
	r, ok := u.free(w, hr)
	if !ok {
		return
	}
	if lang := language(r.PostFormValue("lang")); lang == english || lang == chinese {
		u.setCookie(w, hr, langCookie, string(lang), languageFor)
	}
	next := r.PostFormValue("next")
	if !inside(next) && next != "/login" {
		next = "/"
	}
	http.Redirect(w, hr, next, http.StatusSeeOther)
}
