package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

// laneLimits are the kinds of task that a tenant's platform knows, each a lane,
// with its limits.
func laneLimits(t config.Tenant) map[tasks.Kind]config.Limits {
	all := map[tasks.Kind]config.Limits{}
	for _, l := range t.Lanes() {
		all[tasks.Kind(l.Kind)] = l.Limits
	}
	return all
}

// addTenant makes the tenant's client and adds a lane for each API of its
// platform.
func (w *worker) addTenant(org config.Organisation, t config.Tenant, record *ledger.Ledger) error {
	c, err := w.connect(t)
	if err != nil {
		return err
	}
	all := laneLimits(t)
	for _, kind := range tasks.Kinds() {
		limits, served := all[kind]
		if !served {
			continue
		}
		build, known := c.handlers[kind]
		if !known {
			return fmt.Errorf("tenant %s: no handler for %s tasks of %s; this is a fault of rollcall: report it", t.Name, kind, c.platform)
		}
		cfg := lane.Config{
			Organisation: org.Name, Tenant: t.Name, Platform: c.platform, Kind: kind,
			Limits: paceLimits(limits), Timeout: c.timeout, Probe: c.probe, Ask: c.ask,
		}
		if t.DingTalk != nil { // ClassIn counts neither a month nor an address
			cfg.Metered, cfg.Quota = true, paceQuota(org.Quota)
			cfg.Address, cfg.AddressName = w.address, w.cfg.Egress.Name
		}
		w.lanes.Add(cfg, func(pacer handler.Pacer) handler.Func {
			env := handler.Env{Organisation: org.Name, Tenant: t.Name, Ledger: record, Pacer: pacer, Deadline: lane.Deadline(c.timeout)}
			if t.DingTalk != nil {
				env.Limits.NicknameMax = t.DingTalk.NicknameMax
				env.ResendAfter = time.Duration(t.DingTalk.IDResendAfter)
			}
			return build(env)
		})
	}
	return nil
}

// connection is what a tenant's client brings to its lanes.
type connection struct {
	platform string
	timeout  time.Duration
	handlers map[tasks.Kind]func(handler.Env) handler.Func
	probe    func(context.Context) error // nil: the platform has no unmetered call
	ask      func(context.Context) error // likewise; leaves even if a token is at hand
}

// connect makes the client of a tenant. It connects to nothing.
func (w *worker) connect(t config.Tenant) (connection, error) {
	if d := t.DingTalk; d != nil {
		timeout := time.Duration(d.Timeout)
		client, err := dingtalk.New(dingtalk.Config{
			Tenant: t.Name, AppKey: d.AppKey, AppSecret: d.AppSecret.Value, API: d.API, OAPI: d.OAPI, Timeout: timeout,
		})
		if err != nil {
			return connection{}, err
		}
		w.onClose(client.Close)
		w.rotate[t.Name] = client.SetSecret
		return connection{
			platform: "dingtalk", timeout: timeout, probe: client.CheckToken, ask: client.AskToken,
			handlers: map[tasks.Kind]func(handler.Env) handler.Func{
				tasks.KindNickname: func(e handler.Env) handler.Func { return handler.Nickname(e, client) },
				tasks.KindGroup:    func(e handler.Env) handler.Func { return handler.Group(e, client) },
				tasks.KindID:       func(e handler.Env) handler.Func { return handler.ID(e, client) },
			},
		}, nil
	}
	c := t.ClassIn
	timeout := time.Duration(c.Timeout)
	client, err := classin.New(classin.Config{
		Tenant: t.Name, SID: c.SID, Secret: c.Secret.Value, BaseURL: c.BaseURL, Timeout: timeout,
	})
	if err != nil {
		return connection{}, err
	}
	w.onClose(client.Close)
	w.rotate[t.Name] = client.SetSecret
	return connection{
		platform: "classin", timeout: timeout,
		handlers: map[tasks.Kind]func(handler.Env) handler.Func{
			tasks.KindCourse:  func(e handler.Env) handler.Func { return handler.Course(e, client) },
			tasks.KindStudent: func(e handler.Env) handler.Func { return handler.Student(e, client) },
		},
	}, nil
}
