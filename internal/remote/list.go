package remote

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// Find returns the id of the run that a word names.
func (c *Client) Find(ctx context.Context, word string) (string, error) {
	var page wire.RunPage
	if len(word) > longestWord {
		return "", &run.NotFoundError{ID: word}
	}
	if _, err := c.do(ctx, get(url.Values{"word": {word}}, "runs"), &page); err != nil {
		return "", err
	}
	if len(page.Runs) == 0 {
		return "", &run.NotFoundError{ID: word}
	}
	return page.Runs[0].ID, nil
}

// longestWord is how long a word may be that names a run.
const longestWord = 80

// mostOfPage is how many entries the API puts on a page of runs at most.
const mostOfPage = 200

// List returns the newest runs, newest first.
func (c *Client) List(ctx context.Context, f run.Filter) ([]run.Run, error) {
	query := url.Values{}
	set(query, "name", f.Name)
	set(query, "tenant", f.Tenant)
	if f.States != nil {
		known := slices.DeleteFunc(slices.Clone(f.States), func(s run.State) bool { return !slices.Contains(run.States(), s) })
		if len(known) == 0 {
			return nil, nil
		}
		query.Set("state", joined(known))
	}
	var all []run.Run
	for len(all) < f.N {
		query.Set("limit", strconv.Itoa(min(f.N-len(all), mostOfPage)))
		var page wire.RunPage
		if _, err := c.do(ctx, get(query, "runs"), &page); err != nil {
			return nil, err
		}
		for _, v := range page.Runs {
			all = append(all, v.Run())
		}
		if page.Next.IsZero() {
			break
		}
		query.Set("before", page.Next.Format(time.RFC3339Nano))
	}
	return all, nil
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ",")
}

// ListDirect returns the newest names under which tasks were enqueued directly. A token
// that may not read has none.
func (c *Client) ListDirect(ctx context.Context, f run.Filter) ([]run.Direct, error) {
	if !c.May(ctx, "read") {
		return nil, nil
	}
	query := url.Values{"limit": {strconv.Itoa(min(f.N, mostOfPage))}}
	set(query, "name", f.Name)
	set(query, "tenant", f.Tenant)
	return c.direct(ctx, get(query, "direct"))
}

// DirectParts returns the results of tasks that were enqueued directly under a name, by
// lane.
func (c *Client) DirectParts(ctx context.Context, name, tenant string) ([]run.Direct, error) {
	if !c.May(ctx, "read") || len(name) > longestWord {
		return nil, nil
	}
	query := url.Values{}
	set(query, "tenant", tenant)
	return c.direct(ctx, get(query, "direct", name))
}

func (c *Client) direct(ctx context.Context, r request) ([]run.Direct, error) {
	var out wire.Directs
	_, err := c.do(ctx, r, &out)
	var all []run.Direct
	for _, d := range out.Direct {
		d.Began = d.Began.Local()
		all = append(all, run.Direct(d))
	}
	return all, err
}
