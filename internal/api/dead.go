package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/internal/access"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

// DeadQuery selects dead letters.
type DeadQuery struct {
	Tenant string    `doc:"Only of this tenant"                                           maxLength:"39" query:"tenant"`
	Kind   KindName  `doc:"Only of this kind"                                             query:"kind"`
	Class  string    `doc:"Only of this class"                                            maxLength:"40" query:"class"`
	Code   string    `doc:"Only with this code of the platform"                           maxLength:"80" query:"code"`
	Run    string    `doc:"Only of this run. All that the other filters select are read." maxLength:"64" query:"run"`
	Since  time.Time `doc:"Only that died then or later"                                  query:"since"`
	Until  time.Time `doc:"Only that died then or before"                                 query:"until"`
}

func (in DeadQuery) filter() deadletter.Filter {
	return deadletter.Filter{Tenant: in.Tenant, Kind: tasks.Kind(in.Kind), Class: in.Class, Code: in.Code, Run: in.Run, Since: in.Since, Until: in.Until}
}

type deadInput struct {
	DeadQuery

	Masked bool `doc:"Mask names and ids of people even if the token may see them" query:"masked"`
	Limit  int  `default:"100"                                                     doc:"Dead letters, at most" maximum:"1000" minimum:"1" query:"limit"`
}

type (
	deadOutput   struct{ Body wire.DeadLetters }
	chosenInput  struct{ Body wire.Chosen }
	settleOutput struct{ Body wire.Settled }
)

func (a *API) registerDeadLetters() {
	tags := []string{"Dead letters"}
	register(a, huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/v1/dead-letters", Tags: tags, Summary: "List the newest dead letters",
	}, []access.Scope{access.Read}, a.listDead)
	register(a, huma.Operation{
		OperationID: "count-dead-letters", Method: http.MethodGet, Path: "/v1/dead-letters/causes", Tags: tags, Summary: "Count the dead letters by cause",
		Description: "A token without the scope read counts those of a run that it made.",
	}, []access.Scope{access.Read, access.Enqueue}, a.countDead)
	register(a, huma.Operation{
		OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/v1/dead-letters/{id}", Tags: tags, Summary: "Read a dead letter",
	}, []access.Scope{access.Read}, a.getDead)
	register(a, huma.Operation{
		OperationID: "replay-dead-letters", Method: http.MethodPost, Path: "/v1/dead-letters/replay", Tags: tags,
		Summary: "Enqueue tasks of dead letters again", Description: "With their old revisions: a later change of the target still wins. It may be repeated.",
	}, []access.Scope{access.Operate}, a.replayDead)
	register(a, huma.Operation{
		OperationID: "discard-dead-letters", Method: http.MethodPost, Path: "/v1/dead-letters/discard", Tags: tags,
		Summary: "Remove dead letters", Description: "Their tasks are never carried out. It may be repeated.",
	}, []access.Scope{access.Operate}, a.discardDead)
}

func (a *API) listDead(ctx context.Context, c caller, in *deadInput) (*deadOutput, error) {
	f := in.filter()
	tenants := c.Tenants
	if in.Tenant != "" || len(tenants) == 0 {
		tenants = []string{in.Tenant}
	}
	var all []ledger.DeadLetter
	for _, tenant := range tenants {
		if tenant != "" && !c.MayTenant(tenant) {
			continue
		}
		f.Tenant = tenant
		dead, err := a.dead.Latest(ctx, f, in.Limit)
		if err != nil {
			return nil, err
		}
		all = append(all, dead...)
	}
	slices.SortStableFunc(all, func(x, y ledger.DeadLetter) int { return y.Last.Compare(x.Last) })
	out, m := &deadOutput{}, c.maskerUnless(in.Masked)
	for _, d := range all[:min(len(all), in.Limit)] {
		out.Body.DeadLetters = append(out.Body.DeadLetters, m.dead(d))
	}
	return out, nil
}

type (
	countInput   struct{ DeadQuery }
	causesOutput struct{ Body wire.Causes }
)

func (a *API) countDead(ctx context.Context, c caller, in *countInput) (*causesOutput, error) {
	if !c.May(access.Read) { // the causes of its own runs alone
		if in.Run == "" {
			return nil, forbidden([]access.Scope{access.Read})
		}
		if _, err := a.visible(ctx, c, in.Run, access.Read); err != nil {
			return nil, err
		}
	}
	f := in.filter()
	f.Lanes = c.mayLane
	causes, err := a.dead.Causes(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &causesOutput{}
	for _, cause := range causes {
		cause.Latest = cause.Latest.UTC()
		out.Body.Causes = append(out.Body.Causes, wire.Cause(cause))
	}
	return out, nil
}

// mayLane reports whether the caller may use the tenant of a lane.
func (c caller) mayLane(name string) bool {
	tenant, _, _ := strings.Cut(name, ".")
	return c.MayTenant(tenant)
}

func (m masker) dead(d ledger.DeadLetter) wire.DeadLetter {
	return wire.DeadLetterOf(deadletter.Shown(d, m.Shown))
}

type oneDeadInput struct {
	ID     string `doc:"Id of the task"                                              maxLength:"200" path:"id"`
	Masked bool   `doc:"Mask names and ids of people even if the token may see them" query:"masked"`
}

type oneDeadOutput struct{ Body wire.DeadLetter }

func (a *API) getDead(ctx context.Context, c caller, in *oneDeadInput) (*oneDeadOutput, error) {
	d, err := a.dead.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !c.mayLane(d.Lane) {
		return nil, &deadletter.MissingError{ID: in.ID}
	}
	m := c.maskerUnless(in.Masked)
	return &oneDeadOutput{Body: m.dead(d)}, nil
}

func (a *API) replayDead(ctx context.Context, c caller, in *chosenInput) (*settleOutput, error) {
	return a.settleDead(ctx, c, in, deadletter.Replayed, a.dead.Replay)
}

func (a *API) discardDead(ctx context.Context, c caller, in *chosenInput) (*settleOutput, error) {
	return a.settleDead(ctx, c, in, deadletter.Discarded, a.dead.Discard)
}

// settleDead does something to the dead letters with some ids. Those of tenants that the
// caller may not use are missing to it.
func (a *API) settleDead(ctx context.Context, c caller, in *chosenInput, outcome deadletter.Outcome, do func(context.Context, []ledger.DeadLetter) []deadletter.Settled) (*settleOutput, error) {
	var found []ledger.DeadLetter
	for _, id := range in.Body.IDs {
		d, err := a.dead.Find(ctx, id)
		if is[*deadletter.MissingError](err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		twice := slices.ContainsFunc(found, func(other ledger.DeadLetter) bool { return other.ID == d.ID })
		if c.MayTenant(d.Tenant) && !twice {
			found = append(found, d)
		}
	}
	settled, counts := do(ctx, found), deadletter.Counts{}
	counts.Add(settled)
	if err := a.dead.Note(ctx, outcome, counts, in.Body.Reason, c.by()); err != nil {
		a.log.Warn("change by the API not among the events", "token", c.Token, "action", string(outcome), "err", err)
	}
	out := &settleOutput{}
	for _, id := range in.Body.IDs {
		v := wire.SettledLetter{ID: id, Outcome: wire.Missing}
		if i := slices.IndexFunc(settled, func(s deadletter.Settled) bool { return s.DeadLetter.ID == id }); i >= 0 {
			s := settled[i]
			v.Outcome, v.TaskID = s.Outcome, s.TaskID
			if s.Err != nil {
				v.Detail = c.masker().reason(s)
			}
		}
		out.Body.Results = append(out.Body.Results, v)
	}
	return out, nil
}

// reason is why a dead letter stays.
func (m masker) reason(s deadletter.Settled) string {
	if m.Shown {
		return s.Err.Error()
	}
	return privacy.Redact(s.Err.Error(), deadletter.Words(s.DeadLetter))
}
