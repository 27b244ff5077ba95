package apicall

import (
	"net/http"
	"net/url"
)

// Through has a Wire use a proxy, which the environment names once a process.
func (w *Wire) Through(proxy *url.URL) { w.transport.Proxy = http.ProxyURL(proxy) }
