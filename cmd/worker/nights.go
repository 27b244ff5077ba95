package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/night"
	"rollcall/internal/schedule"
	"rollcall/internal/webhook"
	"rollcall/tasks"
)

// openNights builds what carries out nightly syncs, also without any: a reload may add some.
func (w *worker) openNights() {
	w.nights = night.New(night.Config{
		Redis: w.rdb, Runs: w.runs, Ledger: w.record, Log: w.log,
		Announce: func(ctx context.Context, r night.Report) error { return w.hooks.Announce(ctx, nightEvent(r)) },
	})
	w.knowNights(w.cfg)
}

// knowNights notes when others want to know of the reports of nightly syncs.
func (w *worker) knowNights(cfg *config.Config) {
	for _, s := range cfg.Schedules {
		if s.Source != nil {
			w.nights.Know(night.Night{Name: s.Name, Notify: night.Notify(s.Report)})
		}
	}
}

// nightOf returns the nightly sync of a schedule of a configuration.
func (w *worker) nightOf(cfg *config.Config, s config.Schedule) (night.Night, error) {
	n := night.Night{Name: s.Name, Allowed: s.Allow, Approvable: time.Duration(s.ApproveWithin), Notify: night.Notify(s.Report)}
	var err error
	if n.Source, err = w.sourceOf(s); err != nil {
		return n, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	if n.Rule, err = w.nightRule(cfg, s); err != nil {
		return n, fmt.Errorf("schedule %s: names: %w", s.Name, err)
	}
	if a := s.Absence; a != nil {
		n.Absence = night.Absence{Nights: a.Nights, Chats: a.Chats}
		n.Limits = night.Limits{
			Missing: a.Missing, MissingShare: float64(a.MissingPercent) / 100,
			ChatMissing: a.ChatMissing, ChatMissingShare: float64(a.ChatMissingPercent) / 100,
		}
	}
	if f := s.Refresh; f != nil {
		n.Refresh = night.Refresh{Percent: f.Percent, After: time.Duration(f.After)}
	}
	return n, nil
}

// nightRule returns what makes rows of a schedule's roster.
func (w *worker) nightRule(cfg *config.Config, s config.Schedule) (night.Rule, error) {
	from := s.Source
	if s.Names.IsZero() {
		columns := night.Columns{Tenant: from.Tenant, Kind: tasks.Kind(from.Kind), Chat: from.Chat, Map: map[string]string{}}
		for _, text := range from.Columns {
			name, column, _ := strings.Cut(text, "=") // judged by config.Load
			columns.Map[name] = column
		}
		return columns, nil
	}
	rule, err := ruleOf(s)
	if err != nil {
		return nil, err
	}
	org, _ := cfg.Tenant(from.Tenant) // judged by config.Load
	return night.Names{Rule: rule, Organisation: org.Name, Tenant: from.Tenant, Ledger: w.record}, nil
}

// longestNight bounds the text about a night, in bytes.
const longestNight = 500

// nightJob carries out the nights of a schedule.
type nightJob struct {
	nights *night.Service
	night  night.Night
}

// Run implements schedule.Job. The night logs what a person must see.
func (j nightJob) Run(ctx context.Context, t schedule.Tick) (schedule.Result, error) {
	r, err := j.nights.Run(ctx, j.night, t.At)
	if err != nil {
		return schedule.Result{}, err
	}
	text := fmt.Sprintf("%s: rows %d, planned calls %d, unchanged %d", r.State, r.Rows, r.Planned, r.Unchanged)
	if r.Run != "" {
		text += ", run " + r.Run
	}
	if len(r.Decide) > 0 {
		text += "; " + strings.Join(r.Decide, "; ")
	}
	if len(text) > longestNight {
		text = strings.ToValidUTF8(text[:longestNight], "")
	}
	return schedule.Result{Text: text, Detail: r}, nil
}

// nightReport is the type of the events of nights.
const nightReport = "night.report"

// nightEvent returns the event of a report, without what people or a source wrote.
func nightEvent(r night.Report) webhook.Event {
	data := r
	data.Why, data.Problems, data.Decide = "", nil, nil
	for _, why := range r.Decide {
		name, _, _ := strings.Cut(why, ":")
		data.Decide = append(data.Decide, name)
	}
	e := webhook.Event{
		ID: fmt.Sprintf("night-%s-%d-%s", r.Schedule, r.Tick.Unix(), r.State), Type: nightReport, Time: r.At, Tenants: r.Tenants, Data: data,
	}
	if len(r.Tenants) == 0 {
		e.Tenants = nil // a source that cannot be read concerns everybody
	}
	return e
}
