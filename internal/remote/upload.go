package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

func newKey() string { return uuid.NewString() }

// draftQuery are the parameters of a new run. The API names the token as its author.
func draftQuery(d run.Draft) url.Values {
	s, query := d.Settings, url.Values{}
	set(query, "name", d.Name)
	set(query, "file", cut(d.File.Name))
	set(query, "file_encoding", d.File.Encoding)
	set(query, "allow", strings.Join(s.Allowed, ","))
	if s.Canary != 0 {
		query.Set("canary", strconv.Itoa(max(s.Canary, 0)))
	}
	for name, on := range map[string]bool{"canary_chats": s.CanaryChats, "trust_previous": s.TrustPrevious, "other_approver": s.OtherApprover} {
		if on {
			query.Set(name, "true")
		}
	}
	if s.MaxFailed != 0 {
		query.Set("max_failed", strconv.FormatFloat(s.MaxFailed, 'f', -1, 64))
	}
	if s.ValidSeconds != 0 {
		query.Set("valid_seconds", strconv.Itoa(s.ValidSeconds))
	}
	return query
}

// cut shortens the name of a file to what the API accepts.
func cut(name string) string {
	if all := []rune(name); len(all) > longestFile {
		return string(all[:longestFile])
	}
	return name
}

// longestFile is how many characters the name of a file may have.
const longestFile = 200

// Create makes an empty run.
func (c *Client) Create(ctx context.Context, draft run.Draft) (run.Run, error) {
	made, _, err := c.create(ctx, draft, newKey())
	return made, err
}

func (c *Client) create(ctx context.Context, draft run.Draft, key string) (made run.Run, replayed bool, err error) {
	r := request{method: http.MethodPost, path: []string{"runs"}, query: draftQuery(draft), once: key}
	var v wire.Run
	a, err := c.do(ctx, r, &v)
	return v.Run(), a.header.Get("Idempotency-Replayed") == "true", err
}

// mostUploads bounds how many uploads of one content are looked at: the API remembers
// them for 24 hours.
const mostUploads = 1000

// Continue returns the run of an upload of some content that was cut within the last 24
// hours, or a new one. Both may have been made by a request whose answer was lost.
func (c *Client) Continue(ctx context.Context, draft run.Draft, content string) (run.Run, error) {
	for n := range mostUploads {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", content, draftQuery(draft).Encode(), n))
		made, replayed, err := c.create(ctx, draft, "upload:"+hex.EncodeToString(sum[:]))
		if err != nil || !replayed {
			return made, err
		}
		made, err = c.Get(ctx, made.ID)
		_, expired := errors.AsType[*run.NotFoundError](err)
		switch {
		case err == nil && made.State == run.StateUploading: // what is left is added, and it is sealed
			return made, nil
		case err != nil && !expired:
			return made, err
		}
	}
	return c.Create(ctx, draft)
}

// Add adds rows to a run from a position on, and returns how many it has. Rows that are in
// already are skipped.
func (c *Client) Add(ctx context.Context, id string, from int, rows []run.Row) (int, error) {
	var body bytes.Buffer
	for _, row := range rows {
		if err := json.MarshalWrite(&body, annotated(row), json.Deterministic(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return from, fmt.Errorf("encode line %d: %w", row.Line, err)
		}
		body.WriteByte('\n')
	}
	var out wire.Added
	r := post(nil, "runs", id, "rows")
	r.query = url.Values{"from": {strconv.Itoa(from)}, "annotated": {"true"}, "invalid": {"keep"}}
	r.kind, r.body = "application/x-ndjson", body.Bytes()
	if _, err := c.do(ctx, r, &out); err != nil {
		return from, ofRun(id, err)
	}
	if out.RowsIn < from+len(rows) {
		return out.RowsIn, errNotAdded
	}
	return out.RowsIn, nil
}

// annotated is a row as the columns of a file, with what is known of it besides.
func annotated(row run.Row) map[string]string {
	cells := roster.Cells(row.Request, row.Previous)
	if row.Line > 0 {
		cells[roster.LineAnnotation] = strconv.Itoa(row.Line)
	}
	if len(row.Problems) > 0 {
		cells[roster.ProblemsAnnotation] = strings.Join(row.Problems, "\n")
	}
	if cells["tenant"] == "" { // a column that each row must have
		cells["tenant"] = ""
	}
	return cells
}

// Seal ends the upload of a run, which the worker plans then.
func (c *Client) Seal(ctx context.Context, id string, rows int) (run.Run, error) {
	sealed, err := c.asRun(ctx, id, post(wire.Seal{Rows: rows}, "runs", id, "seal"))
	if err == nil {
		c.noteSealed(id)
	}
	return sealed, err
}

func (c *Client) noteSealed(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed[id] = true
}

var errNotAdded = errors.New("the worker has fewer rows of the run than were sent")
