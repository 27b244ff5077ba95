package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/user.js
var user string

// chromium returns the path of Chromium. If it is not on the PATH the test is skipped; with
// ROLLCALL_REQUIRE_BROWSER=1 it fails, so that no skip goes unnoticed.
func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser: make test-long")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("ROLLCALL_REQUIRE_BROWSER") == "1" {
		t.Fatal("ROLLCALL_REQUIRE_BROWSER=1, but chromium is not on the PATH")
	}
	t.Skip("chromium is not on the PATH")
	return ""
}

// browse starts a Chromium, which ends with the test.
func browse(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, // CI is root
		chromedp.WSURLReadTimeout(patience))
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it may have ended
		free()
	})
	return ctx
}

// view is how somebody looks at the pages.
type view struct {
	lang      string
	dark      bool
	width     int64
	height    int64
	noScripts bool
}

var (
	desktop = view{lang: "en", width: 1280, height: 800}
	phone   = view{lang: "en", width: 390, height: 844}
)

// tab is a browser of one user, with cookies of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // to chromedp, it is the tab
	page string          // URL of the pages

	mu     sync.Mutex
	faults []string // what no page may do
}

// tab opens a browser. At the end of the test, it has met no error of a script, no violation of
// the policy, and no request to another host.
func (s *scene) tab(browser context.Context, v view) *tab {
	s.t.Helper()
	b := &tab{t: s.t, page: s.page}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	s.t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		s.t.Fatal(err)
	}
	b.look(v)
	s.t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			s.t.Errorf("in the browser: %s", fault)
		}
	})
	return b
}

// look changes how the user looks at the pages.
func (b *tab) look(v view) {
	b.t.Helper()
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	var size []chromedp.EmulateViewportOption
	if v.width < 600 {
		size = append(size, chromedp.EmulateMobile)
	}
	err := chromedp.Do(b.ctx, chromedp.EmulateViewport(v.width, v.height, size...))
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": v.lang}})
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.noScripts})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// hear collects what no page may do.
func (b *tab) hear(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("a script failed: %+v", e.ExceptionDetails)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == "error" && e.Entry.Source != "network" {
			fault = e.Entry.Text
		}
	case *network.EventRequestWillBeSent:
		if at := e.Request.URL; !strings.HasPrefix(at, b.page+"/") && !strings.HasPrefix(at, "data:") && at != "about:blank" {
			fault = "a request to " + at
		}
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
	}
}

// evaluate returns the value of an expression on the page. An error may pass: the page may be
// about to be replaced.
func evaluate[T any](b *tab, expression string) (T, error) {
	return chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// call is an expression that calls a function of user.js.
func call(name string, args ...any) string {
	all, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		panic(err)
	}
	return user + "." + name + "(..." + string(all) + ")"
}

// does retries something until nothing prevents it.
func (b *tab) does(name string, args ...any) {
	b.t.Helper()
	b.retry(fmt.Sprint(name, args), func() string {
		why, err := evaluate[string](b, call(name, args...))
		if err != nil {
			return err.Error()
		}
		return why
	})
}

// retry retries until there is no reason any more why not.
func (b *tab) retry(what string, try func() string) {
	b.t.Helper()
	for end := time.After(patience); ; {
		why := try()
		if why == "" {
			return
		}
		select {
		case <-end:
			text, _ := evaluate[string](b, call("text", "body"))
			b.t.Fatalf("timed out: %s: %s\nthe page shows: %s", what, why, text)
		case <-b.t.Context().Done():
			b.t.FailNow()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// open opens a page. Without scripts, the page before may refresh itself at the same moment.
func (b *tab) open(path string) {
	b.t.Helper()
	b.retry("open "+path, func() string {
		if err := chromedp.Do(b.ctx, chromedp.Navigate(b.page+path)); err != nil {
			return err.Error()
		}
		if now, err := evaluate[string](b, call("path")); now != path {
			return fmt.Sprint(now, err)
		}
		return ""
	})
}

// press clicks on the only element that matches and has a text; any text, if it is empty.
func (b *tab) press(selector, text string) {
	b.t.Helper()
	b.does("press", selector, text)
}

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.does("fill", selector, value)
}

// until waits until an expression is true on the page.
func (b *tab) until(expression string) {
	b.t.Helper()
	b.retry(expression, func() string {
		yes, err := evaluate[bool](b, "Boolean(("+expression+"))")
		if err != nil {
			return err.Error()
		}
		if !yes {
			return "false"
		}
		return ""
	})
}

// shows waits until elements have a text.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	b.retry(fmt.Sprintf("%s shows %q", selector, text), func() string {
		got, err := evaluate[string](b, call("text", selector))
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(got, text) {
			return fmt.Sprintf("%q", got)
		}
		return ""
	})
}

// at waits until the path of the page begins so, and returns it with the query.
func (b *tab) at(prefix string) string {
	b.t.Helper()
	var path string
	b.retry("the page "+prefix, func() string {
		var err error
		if path, err = evaluate[string](b, call("path")); err != nil {
			return err.Error()
		}
		if !strings.HasPrefix(path, prefix) {
			return path
		}
		return ""
	})
	return path
}

// login logs a user in, whose password is their name.
func (b *tab) login(name string) *tab {
	b.t.Helper()
	b.open("/login")
	b.fill("#name", name)
	b.fill("#password", name)
	b.press("main form button", "")
	b.shows(".who", name)
	return b
}

// keys presses keys at the element that has the focus.
func (b *tab) keys(keys string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(keys)); err != nil {
		b.t.Fatal(err)
	}
}

// choose attaches files to a field.
func (b *tab) choose(selector string, files ...string) {
	b.t.Helper()
	b.retry("attach to "+selector, func() string {
		if err := chromedp.Do(b.ctx, chromedp.SetUploadFiles(chromedp.CSS(selector), files)); err != nil {
			return err.Error() // the page may just be replaced
		}
		return ""
	})
}

// search is the path of a search.
func search(word string) string { return "/search?" + url.Values{"q": {word}}.Encode() }
