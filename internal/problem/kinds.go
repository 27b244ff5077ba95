package problem

import (
	"net/http"
	"slices"
)

// The names of the types of problems. They are part of the API: names are added, never
// changed.
const (
	Invalid        = "invalid-request"
	InvalidRows    = "invalid-rows"
	InvalidFile    = "invalid-file"
	Unserved       = "lane-not-served"
	Unauthorized   = "unauthorized"
	TokenInQuery   = "token-in-query"
	Forbidden      = "scope-missing"
	Tenant         = "tenant-not-allowed"
	Names          = "names-not-allowed"
	CrossOrigin    = "cross-origin"
	Plain          = "plain-connection"
	OtherApprover  = "other-approver"
	NotFound       = "not-found"
	Method         = "method-not-allowed"
	NotAcceptable  = "not-acceptable"
	State          = "wrong-state"
	Busy           = "changed-by-others"
	PlanChanged    = "plan-changed"
	MissingRows    = "missing-rows"
	KeyReused      = "key-reused"
	KeyInUse       = "key-in-use"
	TooLarge       = "too-large"
	TooSlow        = "too-slow"
	Unsupported    = "unsupported-content"
	RateLimited    = "rate-limited"
	TooMany        = "too-many-at-once"
	Unavailable    = "unavailable"
	Damaged        = "damaged"
	OutcomeUnknown = "outcome-unknown"
	Internal       = "internal"
)

// Kind is a type of problem, and its page.
type Kind struct {
	Name   string
	Status int
	Title  string
	Cause  string // what happened, and what was stored
	Todo   string // what the client does
}

// Kinds are all types, by status.
func Kinds() []Kind {
	return []Kind{
		{TokenInQuery, http.StatusBadRequest, "Token in the query", "Queries are written to logs on the way. Nothing was stored.", "Send the token in the header Authorization. Replace this token: it may be in a log."},
		{Unauthorized, http.StatusUnauthorized, "No valid token", "The header Authorization is missing, or its token is unknown or has expired. Nothing was stored.", "Send Authorization: Bearer TOKEN with a token that the worker's configuration names."},
		{Forbidden, http.StatusForbidden, "Scope missing", "The token has none of the scopes that the operation needs. Nothing was stored.", "Use another token, or add the scope to this one."},
		{Tenant, http.StatusForbidden, "Tenant not allowed", "A row is for a tenant that the token may not use. Nothing was stored.", "Remove the rows that errors lists, or add the tenant to the token."},
		{Names, http.StatusForbidden, "Names not allowed", "A file of results holds names and ids in full, so that it can be uploaded again. The token may not see them.", "Read the results as JSON, where they are masked, or add the scope names to the token."},
		{CrossOrigin, http.StatusForbidden, "Request of another site", "A browser sent the request for a page of another site. Nothing was stored.", "Call the API from a server, not from a page."},
		{Plain, http.StatusForbidden, "Connection without TLS", "Anyone on the network could read the token. Nothing was stored.", "Use the address of http.tls, a proxy of http.proxy, or a loopback address. Replace this token if others may have read it."},
		{OtherApprover, http.StatusForbidden, "Another approver is needed", "The run must be approved by somebody else than its author. It is still held.", "Approve it with another token."},
		{NotFound, http.StatusNotFound, "Not found", "The path does not exist, or the run or dead letter is unknown, or the token may not see it.", "Check the path and the id. Runs are kept for 90 days."},
		{Method, http.StatusMethodNotAllowed, "Method not allowed", "The path exists, but not with this method. Nothing was stored.", "Use a method of the header Allow."},
		{NotAcceptable, http.StatusNotAcceptable, "Format not available", "The response has no format that the header Accept names.", "Accept application/json."},
		{TooSlow, http.StatusRequestTimeout, "Too slow", "The body did not come in time. The part was not stored.", "Send the rows in smaller parts."},
		{State, http.StatusConflict, "Wrong state", "The run is in a state in which this cannot be done. Nothing was changed.", "Read the run, and decide by its state."},
		{Busy, http.StatusConflict, "Changed by others", "Other requests change the run at the same time. This one was not carried out.", "Read the run, and send the request again after the seconds of Retry-After if it is still needed."},
		{PlanChanged, http.StatusConflict, "Plan changed", "The run has another plan than the one with this digest. Nothing was applied.", "Read the plan again, and use its digest."},
		{MissingRows, http.StatusConflict, "Rows missing", "The rows do not follow those that are in, or the run has another number of rows than expected. Rows of this request were not stored.", "Continue at position rows_in."},
		{KeyInUse, http.StatusConflict, "Request underway", "A request with the same Idempotency-Key has not ended.", "Send it again after the seconds of Retry-After: the answer is that of the first."},
		{TooLarge, http.StatusRequestEntityTooLarge, "Too large", "The body has too many bytes, or the run too many rows. Rows of this request were not stored.", "Send the rows in several parts, or make several runs."},
		{Unsupported, http.StatusUnsupportedMediaType, "Unsupported content", "The Content-Type or Content-Encoding is not supported. Nothing was stored.", "Use a type that the operation lists, without compression."},
		{Invalid, http.StatusUnprocessableEntity, "Invalid request", "A parameter or field is missing, unknown or wrong; errors lists each. The status is 400 if the body is no JSON, or was cut. Nothing was stored.", "Correct the request."},
		{InvalidRows, http.StatusUnprocessableEntity, "Invalid rows", "Rows are wrong; errors lists each, up to 1,000, and invalid_rows counts them. No row of this request was stored.", "Correct the rows, or send them with invalid=keep, which makes them impossible rows of the plan."},
		{InvalidFile, http.StatusUnprocessableEntity, "Unreadable file", "The body cannot be read as a table. No row of this request was stored.", "Correct the file. The formats are in docs/files.md."},
		{Unserved, http.StatusUnprocessableEntity, "Lane not served", "No worker has served this tenant and kind of task in the last seven days. Nothing was stored.", "Check the tenant, or start a worker for it."},
		{KeyReused, http.StatusUnprocessableEntity, "Key used for another request", "The key or Idempotency-Key was used in the last 24 hours with another content. Nothing was stored.", "Use a new key for each request, and the same key only to repeat one."},
		{RateLimited, http.StatusTooManyRequests, "Too many requests", "The token has sent more requests than RateLimit-Policy allows, or too many wrong tokens came from the address. Nothing was stored.", "Wait for the seconds of Retry-After."},
		{TooMany, http.StatusTooManyRequests, "Too many requests at once", "The worker stores as many uploads, or has as many waiting requests, as it may. Nothing was stored.", "Wait for the seconds of Retry-After."},
		{Internal, http.StatusInternalServerError, "Internal error", "rollcall has a defect.", "Look at the log of the worker. Repeat the request only with the same Idempotency-Key."},
		{Unavailable, http.StatusServiceUnavailable, "Unavailable", "Redis cannot be reached, or the disk of the worker is full. Of an upload, the rows up to rows_in of the run may be stored.", "Repeat the request: it is safe with the same Idempotency-Key."},
		{Damaged, http.StatusServiceUnavailable, "Damaged record", "A record in Redis cannot be read, or Redis refused a command.", "An operator finds it with rollcall repair, or in the log of the worker. Repeat the request later."},
		{OutcomeUnknown, http.StatusServiceUnavailable, "Outcome unknown", "The task was sent to Redis and no answer came: it may or may not be stored.", "Repeat the request with the same key or Idempotency-Key: it cannot be stored twice."},
	}
}

// Named returns a type by its name.
func Named(name string) (Kind, bool) {
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}
