package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/secret"
	"rollcall/internal/source/contacts"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// platforms are the platforms of the configuration.
var platforms = map[string]struct {
	connect func(*config.Tenant) (connection, error) // creates the client of a tenant; sends nothing
	codes   func() []providers.Code                  // all codes of its answers
}{
	"dingtalk": {connectDingTalk, dingtalk.Codes},
	"classin":  {connectClassIn, classin.Codes},
}

// platformCodes returns the codes of every platform.
func platformCodes() []providers.Code {
	var all []providers.Code
	for _, p := range platforms {
		all = append(all, p.codes()...)
	}
	return all
}

// connection is a tenant's client, with the handlers for its lanes.
type connection struct {
	client interface {
		SetSecret(secret.Text)
		Close()
	}
	handlers    map[tasks.Kind]func(handler.Env) handler.Func
	resendAfter time.Duration // wait of an ID with an unknown outcome; 0 without IDs
	// lateResendAfter is when values are sent again that a late request may have
	// overwritten; 0: never.
	lateResendAfter time.Duration
	probe           func(context.Context) error // nil: the platform has no call without a quota
	ask             func(context.Context) error // likewise; sends a request even if a token is cached
	app             *contactsApp                // nil: the platform has no contacts
}

// contactsApp reads the contacts of a tenant on DingTalk. All of its schedules share the pace.
type contactsApp struct {
	client *dingtalk.Client
	pace   contacts.Pace
}

func newConnection(t *config.Tenant) (connection, error) {
	name := t.Platform().Name
	p, known := platforms[name]
	if !known {
		return connection{}, fmt.Errorf("tenant %s: no client for platform %q; this is a fault of rollcall: report it", t.Name, name)
	}
	return p.connect(t)
}

// addTenant creates the tenant's client and adds a lane for each API of its platform.
func (w *worker) addTenant(org *config.Organisation, t *config.Tenant) error {
	c, err := newConnection(t)
	if err != nil {
		return err
	}
	w.onClose(c.client.Close)
	w.tenants[t.Name] = c
	platform := t.Platform()
	for _, l := range platform.Lanes {
		kind := tasks.Kind(l.Kind)
		build, known := c.handlers[kind]
		if !known {
			return fmt.Errorf("tenant %s: no handler for %s tasks of %s; this is a fault of rollcall: report it", t.Name, kind, platform.Title)
		}
		cfg := lane.Config{
			Organisation: org.Name, Tenant: t.Name, Platform: platform.Name, Kind: kind,
			Limits: paceLimits(l.Limits), Timeout: platform.Timeout, Probe: c.probe, Ask: c.ask, ResendAfter: c.lateResendAfter,
		}
		if platform.Metered {
			cfg.Metered, cfg.Quota = true, paceQuota(org.Quota)
			cfg.Address, cfg.AddressName = w.address, w.cfg.Egress.Name
		}
		w.lanes.Add(cfg, build(handler.Env{
			Organisation: org.Name, Tenant: t.Name, Ledger: w.record, Deadline: lane.Deadline(platform.Timeout),
			Limits: tasks.Limits{NicknameMax: platform.NicknameMax}, ResendAfter: c.resendAfter, Landing: c.lateResendAfter,
		}))
	}
	return nil
}
