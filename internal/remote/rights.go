package remote

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/enqueue"
	"rollcall/internal/problem"
	"rollcall/internal/registry"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

// The version of the API that the commands need: this major version, and at least this
// minor one, which has all that they read.
const needMajor, needMinor = 1, 1

// VersionError reports a worker whose API is of a version that the command cannot use.
type VersionError struct{ Host, Version string }

func (e *VersionError) Error() string {
	if e.Version == "" {
		return fmt.Sprintf("the API of the worker at %s is older than version %d.%d, which this command needs: upgrade the worker", e.Host, needMajor, needMinor)
	}
	return fmt.Sprintf("the API of the worker at %s has version %s, and this command needs %d.%d or a later %d: upgrade the older of the two",
		e.Host, e.Version, needMajor, needMinor, needMajor)
}

// greet reads once what the token may do, and which version the API has.
func (c *Client) greet(ctx context.Context) (*wire.Token, error) {
	c.once.Lock()
	defer c.once.Unlock()
	if c.rights != nil {
		return c.rights, nil
	}
	var r wire.Token
	ask := get(nil, "token")
	ask.first = true
	_, err := c.send(ctx, ask, &r)
	if named(err, problem.NotFound) {
		return nil, &VersionError{Host: c.base.Host}
	}
	if err != nil {
		return nil, err
	}
	major, minor, _ := strings.Cut(r.API, ".")
	minor, _, _ = strings.Cut(minor, ".")
	if n, err := strconv.Atoi(minor); err != nil || n < needMinor || major != strconv.Itoa(needMajor) {
		return nil, &VersionError{Host: c.base.Host, Version: r.API}
	}
	c.rights = &r
	return c.rights, nil
}

// Token returns the name of the token, once the API has accepted it.
func (c *Client) Token(ctx context.Context) (string, error) {
	r, err := c.greet(ctx)
	if err != nil {
		return "", err
	}
	return r.Name, nil
}

// May reports whether the token has a scope.
func (c *Client) May(ctx context.Context, scope string) bool {
	r, err := c.greet(ctx)
	return err == nil && slices.Contains(r.Scopes, scope)
}

// noteMasked reports, once, that people are masked.
func (c *Client) noteMasked(ctx context.Context) {
	r, err := c.greet(ctx)
	if err != nil || slices.Contains(r.Scopes, "names") || c.config.Masked == nil {
		return
	}
	c.mu.Lock()
	first := !c.masked
	c.masked = true
	c.mu.Unlock()
	if first {
		c.config.Masked(r.Name)
	}
}

// Served returns the lanes that workers serve, of the tenants of the token.
func (c *Client) Served(ctx context.Context) ([]registry.Lane, error) {
	var out wire.Served
	_, err := c.do(ctx, get(nil, "served"), &out)
	var lanes []registry.Lane
	for _, l := range out.Served {
		lanes = append(lanes, registry.Lane{Tenant: l.Tenant, Kind: l.Kind, NicknameMax: l.NicknameMax})
	}
	return lanes, err
}

// Checker checks requests by the lanes that workers serve.
type Checker struct{ lanes *registry.Directory }

// NewChecker returns a Checker. It reads the lanes, so that trouble is an error here and
// not one of a row.
func (c *Client) NewChecker(ctx context.Context) (*Checker, error) {
	if _, err := c.Served(ctx); err != nil {
		return nil, err
	}
	return &Checker{registry.NewDirectoryOf(c.Served, time.Now)}, nil
}

// Check validates a request as the worker does before it stores it.
func (k *Checker) Check(ctx context.Context, r tasks.Request) error {
	return enqueue.Check(ctx, k.lanes, r)
}
