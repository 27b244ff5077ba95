package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/config"
	"rollcall/internal/hold"
	"rollcall/internal/logging"
	runs "rollcall/internal/run"
	"rollcall/internal/secret"
	"rollcall/internal/webhook"
)

// announceEvery is the interval of checks for runs and lanes that need attention.
const announceEvery = time.Second

// openWebhooks builds what calls the webhooks, also without any: a reload may add some.
func (w *worker) openWebhooks() {
	w.hooks = webhook.New(webhook.Config{
		Redis: w.rdb, Endpoints: w.endpoints(w.cfg), Observer: w.counts, Log: w.log, Again: w.eventAgain(ownersOf(w.cfg)),
		GivenUp: func(ctx context.Context, name, what string) error {
			return audit.Write(ctx, w.rdb, audit.Event{
				Event: "webhook.given_up", Level: "webhook", Name: name, Class: string(hold.Failing), Reason: what, By: workerName(),
			})
		},
	})
}

// endpoints returns the webhooks and the robots of a configuration.
func (w *worker) endpoints(cfg *config.Config) []webhook.Endpoint {
	return append(webhooks(cfg), w.robots(cfg)...)
}

// webhooks returns the webhooks of a configuration.
func webhooks(cfg *config.Config) []webhook.Endpoint {
	var all []webhook.Endpoint
	for _, h := range cfg.Webhooks {
		e := webhook.Endpoint{Name: h.Name, URL: secret.New(h.URL), Events: h.Events, Tenants: h.Tenants}
		for _, s := range h.Secrets() {
			e.Secrets = append(e.Secrets, secret.New(s))
		}
		networks, _ := access.ParseProxies(h.Allow) // judged by config.Load
		e.Allow = networks
		all = append(all, e)
	}
	return all
}

func webhookNames(cfg *config.Config) []string {
	var names []string
	for _, h := range cfg.Webhooks {
		names = append(names, h.Name)
	}
	for _, r := range cfg.Robots {
		names = append(names, robotPrefix+r.Name)
	}
	return names
}

// announce returns what stores calls of webhooks for runs and lanes that need attention,
// until its context ends.
func (w *worker) announce() func(context.Context) {
	owners := ownersOf(w.cfg) // a new tenant needs a restart
	return func(ctx context.Context) { w.announceOf(ctx, owners) }
}

func (w *worker) announceOf(ctx context.Context, owners map[string][]string) {
	line := &logging.Condition{
		Log: w.log, Level: slog.LevelWarn, Began: "events of webhooks not stored; retrying", Ended: "events of webhooks stored again",
	}
	holds := hold.NewStore(w.rdb)
	w.every(ctx, announceEvery, line, func(ctx context.Context) error {
		if w.hooks.Idle() {
			return nil
		}
		return errors.Join(
			w.runs.Announce(ctx, func(ctx context.Context, a runs.Announcement) error { return w.hooks.Announce(ctx, runEvent(a)) }),
			holds.Announce(ctx, time.Now(), func(ctx context.Context, h hold.Hold) error { return w.hooks.Announce(ctx, holdEvent(h, owners)) }),
		)
	})
}

// restoreCall makes a call of a webhook again whose task cannot be read. The feeder makes
// those of runs again by itself.
func (w *worker) restoreCall(ctx context.Context, queue, id string) error {
	if queue != webhook.Queue {
		return nil
	}
	return w.hooks.Restore(ctx, id)
}

// eventAgain returns what makes an event again from its id: of a run that is kept, of a
// night that is reported, or of a hold that is there.
func (w *worker) eventAgain(owners map[string][]string) func(context.Context, string) (webhook.Event, bool, error) {
	holds := hold.NewStore(w.rdb)
	return func(ctx context.Context, id string) (webhook.Event, bool, error) {
		if a, ok := announcementOf(id); ok {
			r, err := w.runs.Get(ctx, a.Run.ID)
			if _, missing := errors.AsType[*runs.NotFoundError](err); missing {
				return webhook.Event{}, false, nil
			}
			if err != nil {
				return webhook.Event{}, false, err
			}
			a.Run = r
			return runEvent(a), true, nil
		}
		if schedule, ok := nightOfEvent(id); ok {
			history, err := w.nights.History(ctx, schedule)
			for _, r := range history {
				if event := nightEvent(r); event.ID == id {
					return event, true, nil
				}
			}
			return webhook.Event{}, false, err
		}
		if err := holds.Refresh(ctx); err != nil {
			return webhook.Event{}, false, err
		}
		for _, h := range holds.All() {
			if event := holdEvent(h, owners); event.ID == id {
				return event, true, nil
			}
		}
		return webhook.Event{}, false, nil
	}
}

// nightOfEvent returns the schedule that the id of a night's event holds.
func nightOfEvent(id string) (schedule string, ok bool) {
	rest, ok := strings.CutPrefix(id, "night-")
	if !ok {
		return "", false
	}
	for range 2 { // the tick and the state
		rest = rest[:max(0, strings.LastIndexByte(rest, '-'))]
	}
	return rest, rest != ""
}

// announcementOf returns the run's id, the state and the time that the id of an event holds.
func announcementOf(id string) (a runs.Announcement, ok bool) {
	parts := strings.Split(id, "-")
	if len(parts) != 4 || parts[0] != "run" {
		return a, false
	}
	at, err := strconv.ParseInt(parts[3], 10, 64)
	a.Run.ID, a.State, a.At = parts[1], runs.State(parts[2]), time.UnixMicro(at)
	return a, err == nil
}

// runEvent returns the event of a state of a run. It has no label, author or reason, which
// people write and which may name others.
func runEvent(a runs.Announcement) webhook.Event {
	kind := "run.ended"
	switch a.State { //nolint:exhaustive // all others are ends
	case runs.StateHeld:
		kind = "run.held"
	case runs.StatePaused:
		kind = "run.paused"
	}
	tenants := []string{} // not known before the plan
	if a.Run.Plan != nil {
		for _, l := range a.Run.Plan.Lanes {
			tenants = append(tenants, l.Tenant)
		}
		slices.Sort(tenants)
		tenants = slices.Compact(tenants)
	}
	return webhook.Event{
		ID: fmt.Sprintf("run-%s-%s-%d", a.Run.ID, a.State, a.At.UnixMicro()), Type: kind, Time: a.At, Tenants: tenants,
		Data: struct {
			Run      string               `json:"run"`
			State    runs.State           `json:"state"`
			UndoOf   string               `json:"undo_of,omitzero"`
			Tenants  []string             `json:"tenants"`
			Rows     int                  `json:"rows"`
			Outcomes map[runs.Outcome]int `json:"outcomes,omitempty"`
		}{a.Run.ID, a.State, a.Run.UndoOf, tenants, a.Run.Rows, a.Run.Outcomes},
	}
}

// holdEvent returns the event of a hold. It has no reason: a platform's message may name
// people.
func holdEvent(h hold.Hold, owners map[string][]string) webhook.Event {
	var tenants []string // of an address: all
	switch h.Level {
	case hold.Lane:
		tenant, _, _ := strings.Cut(h.Name, ".")
		tenants = []string{tenant}
	case hold.Tenant:
		tenants = []string{h.Name}
	case hold.Organisation:
		tenants = append([]string{}, owners[h.Name]...)
	case hold.Address:
	}
	return webhook.Event{
		ID: "hold-" + strings.NewReplacer(":", "-", "/", "-", "@", "-").Replace(h.ID()), Type: "lane.held", Time: h.Since, Tenants: tenants,
		Data: struct {
			Level hold.Level `json:"level"`
			Name  string     `json:"name"`
			Class hold.Class `json:"class"`
			Since time.Time  `json:"since"`
			Until time.Time  `json:"until,omitzero"`
		}{h.Level, h.Name, h.Class, h.Since, h.Until},
	}
}

// ownersOf returns the tenants of each organisation.
func ownersOf(cfg *config.Config) map[string][]string {
	all := map[string][]string{}
	for org, t := range cfg.Tenants() {
		all[org.Name] = append(all[org.Name], t.Name)
	}
	return all
}
