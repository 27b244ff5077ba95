package apicall_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// A proxy that refuses the connection is a wrong configuration, and one that fails is a
// gateway's fault. Nothing has left, so even a call that must not be repeated has a
// known outcome.
func TestAProxyThatRefusesTheConnectionIsMisconfiguration(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]providers.Kind{
		407: providers.Misconfigured, 403: providers.Misconfigured, 405: providers.Misconfigured,
		502: providers.Transient, 503: providers.Transient, 504: providers.Transient,
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(proxy.Close)
		wire := apicall.NewWire(time.Minute)
		t.Cleanup(wire.Close)
		to, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		wire.Through(to)
		call := &apicall.Call{Platform: "p", Tenant: "t", API: "a", Host: "api.invalid", Gate: func(context.Context) error { return nil }, Once: true}
		_, e, _ := call.Send(t.Context(), wire, func() apicall.Request { return apicall.Request{URL: "https://api.invalid/"} })
		if e == nil || e.Kind != want || e.HTTPStatus != status || e.Host != "127.0.0.1" || e.MaybeApplied {
			t.Errorf("HTTP %d of the proxy: %+v, want %v", status, e, want)
		}
		if e != nil && (e.Scope == providers.ScopeTenant) != (want == providers.Misconfigured) {
			t.Errorf("HTTP %d of the proxy: scope %v", status, e.Scope)
		}
	}
}
