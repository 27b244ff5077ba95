package remote

import (
	"context"
	"net/url"

	"rollcall/internal/explain"
	"rollcall/internal/wire"
)

// Sought names a target: by its lane and key, or by a task.
type Sought struct {
	Lane, Target string
	Task         string
	Personal     bool // people are not masked, if the token may see them
}

// Explain returns everything that is known of a target, and the name of its lane. People are
// masked by the API: the target shows what it has.
func (c *Client) Explain(ctx context.Context, s Sought) (lane string, of *explain.Target, err error) {
	query := url.Values{}
	for name, value := range map[string]string{"lane": s.Lane, "target": s.Target, "task": s.Task} {
		set(query, name, value)
	}
	if !s.Personal {
		query.Set("masked", "true")
	}
	var v wire.Explanation
	if _, err := c.do(ctx, get(query, "explanation"), &v); err != nil {
		return "", nil, err
	}
	if s.Personal {
		c.noteMasked(ctx)
	}
	return v.Lane, v.Known(), nil
}
