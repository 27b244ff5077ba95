package access

import "context"

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
