package apicall

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"rollcall/internal/loopback"
)

// Base checks a platform's base URL and returns it without a trailing slash, and its
// host in lower case. Its errors never quote the URL, which may contain a password.
func Base(raw string) (base, host string, err error) {
	if raw == "" {
		return "", "", errors.New("the base URL is missing")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "", "", errors.New("the base URL cannot be read; write https://host")
	case u.User != nil:
		return "", "", errors.New("the base URL carries a user name; take it out, nothing reads it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "", errors.New("the base URL carries a query or a fragment; write https://host alone")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return "", "", fmt.Errorf("plain http to %s would show the credentials to everyone on the way; use https", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", fmt.Errorf("the base URL's scheme is %q; use https", u.Scheme)
	}
	return strings.TrimRight(u.String(), "/"), strings.ToLower(u.Hostname()), nil
}
