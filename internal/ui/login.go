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
	u.handleFree("GET /login", u.loginPage)
	u.handleFree("POST /login", u.enter)
	u.handleFree("POST /logout", u.leave)
	u.handleFree("POST /language", u.setLanguage)
}

// loginForm is what the login shows.
type loginForm struct {
	Next, Name string
	Problem    string
}

// handleFree registers a page that needs no login.
func (u *UI) handleFree(pattern string, h handler) {
	u.mux.HandleFunc(pattern, func(w http.ResponseWriter, hr *http.Request) {
		r, err := u.free(w, hr)
		var v view
		if err == nil {
			v, err = h(r)
		}
		switch {
		case err != nil:
			u.fail(r, err)
		case v.to != "":
			http.Redirect(w, hr, v.to, http.StatusSeeOther)
		default:
			u.write(r, v)
		}
	})
}

// free returns the request of somebody who may have no login, and checks the token of a form.
func (u *UI) free(w http.ResponseWriter, hr *http.Request) (*request, error) {
	r := u.visit(w, hr, access.User{})
	if visitor, err := u.login.Identify(hr); err == nil {
		r.User, r.csrf = visitor.User, cmp.Or(visitor.Token, r.csrf)
	} else if errors.Is(err, access.ErrElsewhere) {
		return r, &userError{key: "error.elsewhere", status: http.StatusForbidden}
	}
	if access.OfOtherSite(hr) {
		return r, errForged
	}
	if hr.Method != http.MethodPost {
		return r, nil
	}
	return r, r.form(mostForm)
}

func (u *UI) loginPage(r *request) (view, error) {
	next := r.URL.Query().Get("next")
	if !inside(next) {
		next = "/"
	}
	if u.login.Users.Empty() || u.login.Sessions == nil {
		return view{to: next}, nil
	}
	return show("login.html", "login.title", loginForm{Next: next}), nil
}

// enter checks a name and a password, and begins a session.
func (u *UI) enter(r *request) (view, error) {
	form := loginForm{Next: r.PostFormValue("next"), Name: r.PostFormValue("name")}
	if !inside(form.Next) {
		form.Next = "/"
	}
	account, err := u.login.Check(r.Request, form.Name, r.PostFormValue("password"))
	wrong, is := errors.AsType[*access.WrongLoginError](err)
	if is || u.login.Sessions == nil {
		v := show("login.html", "login.title", nil)
		v.status, form.Problem = http.StatusUnauthorized, r.t("login.wrong")
		if is && wrong.Wait > 0 {
			r.writer.Header().Set("Retry-After", strconv.Itoa(wrong.Seconds()))
			v.status, form.Problem = http.StatusTooManyRequests, r.t("login.wait", wrong.Seconds())
		}
		v.data = form
		return v, nil
	}
	u.login.Enter(r.writer, r.Request, account)
	return view{to: form.Next}, nil
}

func (u *UI) leave(r *request) (view, error) {
	return view{to: "/login"}, u.login.Leave(r.writer, r.Request)
}

// languageFor is how long a browser keeps the language.
const languageFor = 400 * 24 * time.Hour

func (u *UI) setLanguage(r *request) (view, error) {
	if lang := language(r.PostFormValue("lang")); lang == english || lang == chinese {
		u.setCookie(r.writer, r.Request, langCookie, string(lang), languageFor)
	}
	next := r.PostFormValue("next")
	if !inside(next) && next != "/login" {
		next = "/"
	}
	return view{to: next}, nil
}
