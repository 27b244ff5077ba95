package ui

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/privacy"
)

// renderer is used by one request at a time: its functions belong to the request. Parsing and
// escaping templates takes longer than executing them, so some renderers are kept.
type renderer struct {
	ui    *UI
	pages map[string]*template.Template
	r     *request
	v     view
}

// mostIdle bounds the renderers that are kept.
const mostIdle = 8

// render executes the layout of a page: whole, or the part that is refreshed.
func (u *UI) render(to io.Writer, r *request, v view, layout string) error {
	if lazy, is := v.data.(func() any); is {
		v.data = lazy()
	}
	var re *renderer
	select {
	case re = <-u.idle:
	default:
		re = u.newRenderer()
	}
	re.r, re.v = r, v
	defer func() {
		re.r, re.v = nil, view{}
		select {
		case u.idle <- re:
		default:
		}
	}()
	page, known := re.pages[v.page]
	if !known {
		return fmt.Errorf("no page %q", v.page)
	}
	if err := page.ExecuteTemplate(to, layout, v.data); err != nil {
		return fmt.Errorf("render %s: %w", v.page, err)
	}
	return nil
}

// newRenderer parses all templates. They are embedded, so an error is a defect.
func (u *UI) newRenderer() *renderer {
	re := &renderer{ui: u, pages: map[string]*template.Template{}}
	frame := template.Must(template.New("layout").Funcs(re.funcs()).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	names, _ := fs.Glob(files, "templates/*.html")
	for _, name := range names {
		if base := path.Base(name); base != "layout.html" && base != "parts.html" {
			page := template.Must(frame.Clone())
			re.pages[base] = template.Must(page.ParseFS(files, name))
		}
	}
	return re
}

func (re *renderer) funcs() template.FuncMap {
	return template.FuncMap{
		"t":        func(key string, args ...any) string { return re.r.t(key, args...) },
		"when":     func(at time.Time) template.HTML { return re.r.when(at) },
		"ago":      func(at time.Time) template.HTML { return re.r.ago(at) },
		"duration": func(d time.Duration) string { return re.r.duration(d) },
		"num":      num,
		"rate":     rate,
		"mb":       mb,
		"person":   func(text string) string { return re.r.person(text) },
		"csrf": func() template.HTML {
			return template.HTML(`<input type="hidden" name="csrf" value="` + template.HTMLEscapeString(re.r.csrf) + `">`) //nolint:gosec // escaped
		},
		"may":   func(role string) bool { return re.r.User.May(access.Role(role)) },
		"user":  func() access.User { return re.r.User },
		"login": func() bool { return !re.ui.login.Users.Empty() },
		"lang":  func() language { return re.r.Lang },
		"path":  func() string { return re.r.URL.RequestURI() },
		"at": func(prefix string) bool {
			return re.r.URL.Path == prefix || prefix != "/" && strings.HasPrefix(re.r.URL.Path, prefix+"/")
		},
		"title":  func() string { return re.r.t(re.v.title) },
		"notice": func() string { return re.r.notice },
		"live":   func() int { return re.v.every() },
		"ticks":  func() bool { return re.v.ticks },
		"static": func(name string) string { return "/static/" + name + "?v=" + re.ui.versions[name] },
		"zone":   func() string { return zoneName(re.ui.zone, re.ui.now()) },
		"does":   func(text string) string { return re.r.does(text) },
		"badge":  func(class, text string) badge { return badge{class, text} },
		"bar":    func(class string, value, most any, label string) bar { return bar{class, value, most, label} },
	}
}

// when returns a time in the zone of the pages.
func (r *request) when(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return timeTag(at, at.In(r.ui.zone).Format(time.DateTime), "")
}

// ago returns how long ago a time was, or in how long it will be.
func (r *request) ago(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	d := r.ui.now().Sub(at)
	text := r.t("time.now")
	switch {
	case d >= time.Second:
		text = r.t("time.ago", r.duration(d))
	case d <= -time.Second:
		text = r.t("time.in", r.duration(-d))
	}
	return timeTag(at, text, at.In(r.ui.zone).Format(time.DateTime))
}

func timeTag(at time.Time, text, title string) template.HTML {
	tag := `<time datetime="` + at.UTC().Format(time.RFC3339) + `"`
	if title != "" {
		tag += ` title="` + template.HTMLEscapeString(title) + `"`
	}
	return template.HTML(tag + ">" + template.HTMLEscapeString(text) + "</time>") //nolint:gosec // escaped
}

// duration returns a length of time with its two largest units at most.
func (r *request) duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return r.t("time.s", s)
	case s < 3600:
		return r.t("time.m", (s+30)/60)
	case s < 36000 && s%3600 >= 60:
		return r.t("time.hm", s/3600, s%3600/60)
	case s < 48*3600:
		return r.t("time.h", (s+1800)/3600)
	}
	return r.t("time.d", (s+43200)/86400)
}

// person returns the name or the id of a person, masked unless the user may see it.
func (r *request) person(text string) string {
	if r.User.Names {
		return text
	}
	return privacy.Mask(text)
}

// num formats a whole number with commas.
func num(value any) string {
	text := fmt.Sprint(value)
	sign := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = "-", rest
	}
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return sign + text
}

// rate formats calls per second.
func rate(f float64) string {
	if f > 0 && f < 1 {
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// mb formats a size in bytes.
func mb(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MB"
}

// badge is a word in a colour: class ok, warn, bad or quiet.
type badge struct{ Class, Text string }

// bar is a part of a whole, in the colour of a badge.
type bar struct {
	Class      string
	Value, Max any
	Label      string
}

// zoneName names a zone: Asia/Shanghai, or UTC+08:00 for that of the machine.
func zoneName(zone *time.Location, now time.Time) string {
	if name := zone.String(); name != "Local" && name != "" {
		return name
	}
	return "UTC" + now.In(zone).Format("-07:00")
}

// versions returns a short hash of each static file, for its URL.
func versions(files fs.FS) map[string]string {
	all := map[string]string{}
	names, _ := fs.Glob(files, "static/*")
	for _, name := range names {
		content, _ := fs.ReadFile(files, name) // it is embedded
		sum := sha256.Sum256(content)
		all[path.Base(name)] = hex.EncodeToString(sum[:6])
	}
	return all
}
