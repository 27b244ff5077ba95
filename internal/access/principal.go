// Package access says who may use the HTTP API and the pages, and for what: tokens of
// services, users with roles, and their sessions.
//
// It must not know what the API and the pages do.
package access

import "slices"

// Scope is a right of a token: "enqueue", "read", "operate", "approve", or "names", which
// shows names and ids of people unmasked.
type Scope string

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
