package remote

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/wire"
)

// errDamaged stands for the names of damaged keys, which the API keeps to itself.
var errDamaged = errors.New("keys of some lanes are damaged")

// Survey returns the state of the lanes of the tenants of the token.
func (c *Client) Survey(ctx context.Context, now time.Time) (*overview.Lanes, error) {
	var out wire.Survey
	if _, err := c.do(ctx, get(nil, "survey"), &out); err != nil {
		return nil, err
	}
	var lanes []overview.Lane
	for _, v := range out.Lanes {
		lanes = append(lanes, v.Lane())
	}
	var holds []hold.Hold
	for _, v := range out.Holds {
		holds = append(holds, v.Hold())
	}
	var damage error
	if out.Damaged {
		damage = errDamaged
	}
	return overview.New(now, lanes, holds, damage), nil
}
