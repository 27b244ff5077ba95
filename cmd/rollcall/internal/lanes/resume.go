package lanes

import (
	"context"
	"slices"
	"strings"
	"time"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

// stepResumed reports a pause that was ended; its names are stable.
type stepResumed struct {
	Outcome string   `json:"outcome"`          // pause_ended
	Lanes   []string `json:"lanes,omitzero"`   // whose pauses ended
	Address string   `json:"address,omitzero"` // whose pause ended
}

// covered returns the lanes in the scope.
func (r *releaser) covered() []overview.Lane {
	return slices.DeleteFunc(slices.Clone(r.survey.Lanes), func(l overview.Lane) bool { return !slices.Contains(l.Scopes(), r.scope) })
}

// resume ends the pauses of a scope without holds.
func (r *releaser) resume(ctx context.Context, p *printer) error {
	done := stepResumed{Outcome: "pause_ended"}
	var refs []pace.Ref
	for _, l := range r.covered() {
		if l.Pace.Paused > 0 {
			done.Lanes, refs = append(done.Lanes, l.Name()), append(refs, l.Pace.Ref)
		}
	}
	if r.scope.Level == hold.Address {
		left, err := pace.AddressPause(ctx, r.rdb, r.scope.Name)
		if err != nil {
			return err
		}
		if left > 0 {
			done.Address = r.scope.Name
			if err := pace.ResumeAddress(ctx, r.rdb, r.scope.Name); err != nil {
				return err
			}
		}
	}
	if len(refs) > 0 {
		if err := pace.Resume(ctx, r.rdb, refs...); err != nil {
			return err
		}
	}
	switch {
	case len(done.Lanes) == 0 && done.Address == "":
		return nil
	case r.JSON:
		return r.PrintJSON(done)
	}
	var ended []string
	if done.Address != "" {
		ended = append(ended, "address "+done.Address)
	}
	if len(done.Lanes) > 0 {
		ended = append(ended, cli.Listed(done.Lanes))
	}
	p.Text(console.Green, 0, "pause ended: "+strings.Join(ended, ", "))
	return nil
}

// readAddresses returns the pauses of the lanes' addresses.
func (r *releaser) readAddresses(ctx context.Context) (map[string]time.Duration, error) {
	pauses := map[string]time.Duration{"": 0}
	for _, l := range r.survey.Lanes {
		if _, read := pauses[l.Address]; read {
			continue
		}
		left, err := pace.AddressPause(ctx, r.rdb, l.Address)
		if err != nil {
			return nil, err
		}
		pauses[l.Address] = left
	}
	return pauses, nil
}

// remains prints what else stops the lanes of the scope, and reports whether a hold
// or a pause stops all of them. pauses are those of the addresses.
func (r *releaser) remains(p *printer, pauses map[string]time.Duration) (held bool) {
	say := func(style console.Style, text string) {
		if !r.JSON {
			p.Text(style, 0, text)
		}
	}
	seen := map[string]bool{}
	once := func(key string) bool {
		was := seen[key]
		seen[key] = true
		return !was
	}
	for _, l := range r.covered() {
		for _, h := range l.Holds {
			if h.Scope == r.scope || !once(heldBy(h)) {
				continue
			}
			held = held || h.Level != hold.Lane || r.scope.Level == hold.Lane // one lane of many does not fail the command
			until := ""
			if !h.Until.IsZero() {
				until = ", until " + p.when(h.Until)
			}
			say(console.Red, "lane "+l.Name()+" is also on hold by "+heldBy(h)+until+"; ends: "+glueCommand(r.survey.howToEnd(h)))
		}
		if queues := pausedQueues(l); queues != "" {
			say(console.Yellow, "asynq's pause button is set on "+queues+" of "+l.Name()+": resume the queue in the web UI")
		}
		if l.Unseen {
			say(console.Yellow, "no worker serves "+l.Name()+": start a worker, or check why it stopped")
		}
		if paused := pauses[l.Address]; paused > 0 && r.scope.Level != hold.Address && once("address "+l.Address) {
			held = true
			say(console.Red, "address "+l.Address+" is paused until "+p.when(p.Now.Add(paused.Round(time.Second)))+"; to end the pause: "+
				glueCommand("rollcall lanes release address "+l.Address+" --force"))
		}
	}
	return held
}
