package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/buildinfo"
	"rollcall/internal/loopback"
	"rollcall/internal/secret"
)

// Bounds of one attempt.
const (
	attemptFor = 15 * time.Second
	dialFor    = 5 * time.Second
	answerMax  = 4 << 10 // bytes of an answer that are read, and thrown away
)

// Endpoint is a URL that is called.
type Endpoint struct {
	Name string
	URL  secret.Text // https, or http at a loopback address
	// Secrets sign, each for itself. At least one, as Standard Webhooks writes them:
	// "whsec_" and Base64.
	Secrets []secret.Text
	Events  []string       // types; nil: all
	Tenants []string       // only events that concern one of them; nil: all
	Allow   []netip.Prefix // private networks that the host may be in
	// Accepts reports whether the endpoint wants an event that the fields above let through.
	// nil: it does.
	Accepts func(Event) bool
	// Deliver makes one attempt of a call in another form than that of Standard Webhooks: URL
	// and Secrets are not used. The body is that of a webhook. Its error contains no
	// credential, and may be a [*DeliveryError]. nil: Standard Webhooks.
	Deliver func(ctx context.Context, id string, body []byte) error
}

func (e Endpoint) wants(event Event) bool {
	if len(e.Events) > 0 && !slices.Contains(e.Events, event.Type) || e.Accepts != nil && !e.Accepts(event) {
		return false
	}
	return len(e.Tenants) == 0 || event.Tenants == nil ||
		slices.ContainsFunc(event.Tenants, func(t string) bool { return slices.Contains(e.Tenants, t) })
}

// StatusError reports an answer other than 2xx.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0: not said
}

func (e *StatusError) Error() string {
	switch {
	case e.Status >= 300 && e.Status < 400:
		return fmt.Sprintf("HTTP %d: redirects are not followed; configure the final URL", e.Status)
	case e.Status == http.StatusGone:
		return "HTTP 410: the endpoint wants no more calls; remove the webhook"
	}
	return fmt.Sprintf("HTTP %d", e.Status)
}

// DeliveryError reports an attempt that failed, and when to repeat it.
type DeliveryError struct {
	After time.Duration // at least; 0: as usual
	Final bool          // it is not repeated
	Err   error
}

// Error returns the text of Err.
func (e *DeliveryError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DeliveryError) Unwrap() error { return e.Err }

// repeat returns the least wait before a failed attempt is repeated, or that it is not.
func repeat(err error) (after time.Duration, final bool) {
	if refused, ok := errors.AsType[*StatusError](err); ok {
		return refused.RetryAfter, refused.Status == http.StatusGone
	}
	if failed, ok := errors.AsType[*DeliveryError](err); ok {
		return failed.After, failed.Final
	}
	return 0, false
}

// Send makes one attempt of a call. The error contains neither the URL nor the answer.
func (e Endpoint) Send(ctx context.Context, event Event) error {
	body, err := event.body()
	if err != nil {
		return fmt.Errorf("event %s has no JSON: %w", event.ID, err)
	}
	return e.send(ctx, event.ID, body, time.Now())
}

func (e Endpoint) send(ctx context.Context, id string, body []byte, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	if e.Deliver != nil {
		return e.Deliver(ctx, id, body)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	signatures, err := e.sign(id, now, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "rollcall/"+buildinfo.Read().Version)
	// Spelled as the specification does; HTTP ignores the case.
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signatures)
	transport := e.transport(request.URL)
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerMax)) // the status decides
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	refused := &StatusError{Status: answer.StatusCode}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		refused.RetryAfter = time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	}
	return refused
}

// sign returns the signatures of all secrets.
func (e Endpoint) sign(id string, now time.Time, body []byte) (string, error) {
	var all []string
	for _, s := range e.Secrets {
		hook, err := standardwebhooks.NewWebhook(s.Reveal())
		if err != nil {
			return "", errors.New("a secret is no Base64") // the library's error may quote it
		}
		one, err := hook.Sign(id, now, body)
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return "", errors.New("the webhook has no secret")
	}
	return strings.Join(all, " "), nil
}

// withoutURL removes the URL, which may contain a secret, from an error of net/http.
func withoutURL(err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		return whole.Err
	}
	return err
}

// transport is a client's transport that connects to allowed addresses alone. The address
// is checked when it is dialled: a name may resolve to another one each time. There is no
// proxy, which would resolve the name itself.
func (e Endpoint) transport(to *url.URL) *http.Transport {
	dialer := &net.Dialer{Timeout: dialFor, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %s cannot be checked", address)
		}
		return e.check(at.Addr(), to)
	}}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialFor, ResponseHeaderTimeout: attemptFor,
		MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true,
	}
}

// AddressError reports that an address of the host may not be called.
type AddressError struct{ Address netip.Addr }

func (e *AddressError) Error() string {
	return fmt.Sprintf("the host has the address %s, which is not public; name its network in allow, if it is meant", e.Address)
}

// check refuses addresses that are not public, unless the endpoint names them.
func (e Endpoint) check(addr netip.Addr, to *url.URL) error {
	addr = addr.Unmap().WithZone("")
	switch {
	case slices.ContainsFunc(e.Allow, func(network netip.Prefix) bool { return network.Contains(addr) }):
	case loopback.Is(to.Hostname()):
		if !addr.IsLoopback() {
			return &AddressError{addr}
		}
	case to.Scheme != "https":
		return errors.New("http is for loopback addresses alone; use https")
	case !public(addr):
		return &AddressError{addr}
	}
	return nil
}

// special are networks of no public host, from the registries of special addresses. IPv6
// networks that carry an IPv4 address are among them: it would escape the check.
var special = func() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

// globalIPv6 is all that is in use of IPv6's public addresses.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

func public(addr netip.Addr) bool {
	if addr.IsPrivate() || !addr.IsGlobalUnicast() || addr.Is6() && !globalIPv6.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(addr) })
}
