// Package access says who may use the HTTP API and the pages, and for what: tokens of
// services, users with roles, and their sessions.
//
// It must not know what the API and the pages do.
package access

import (
	"context"
	"slices"
)

// Scope is a right of a token: "enqueue", "read", "operate", "approve", or "names", which
// shows names and ids of people unmasked.
type Scope string

// The scopes.
const (
	Enqueue Scope = "enqueue" // stores tasks, makes runs and uploads rows
	Read    Scope = "read"    // reads runs, results, lanes, quotas and dead letters
	Operate Scope = "operate" // applies, pauses, resumes, cancels and undoes runs, replays and discards dead letters
	Approve Scope = "approve" // approves and rejects runs that are held
	Names   Scope = "names"   // sees names and ids of people unmasked
)

// Scopes lists every Scope.
func Scopes() []Scope { return []Scope{Enqueue, Read, Operate, Approve, Names} }

// Principal is the holder of a token.
type Principal struct {
	// Token is the name of the token.
	Token  string
	Scopes []Scope
	// Tenants are those that the token may use. Empty: all.
	Tenants []string
}

// May reports whether the principal has a scope.
func (p Principal) May(s Scope) bool { return slices.Contains(p.Scopes, s) }

// MayTenant reports whether the principal may use a tenant.
func (p Principal) MayTenant(tenant string) bool {
	return len(p.Tenants) == 0 || slices.Contains(p.Tenants, tenant)
}

type principalKey struct{}

// With returns a context with the principal of its request. Guard does it; others only in
// tests.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal of a request that passed a Guard. Without one it returns the
// zero Principal, which has no scope, and false.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}
