package main

import (
	"context"
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
	if d := t.DingTalk; d != nil {
		return map[tasks.Kind]config.Limits{
			tasks.KindNickname: d.Limits.Nickname, tasks.KindGroup: d.Limits.Group, tasks.KindID: d.Limits.ID,
		}
	}
	return map[tasks.Kind]config.Limits{tasks.KindCourse: t.ClassIn.Limits.Course}
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
			return c.build(kind, env)
		})
	}
	return nil
}

// connection is what a tenant's client brings to its lanes.
type connection struct {
	platform string
	timeout  time.Duration
	build    func(tasks.Kind, handler.Env) handler.Func
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
		build := func(kind tasks.Kind, env handler.Env) handler.Func {
			switch kind {
			case tasks.KindNickname:
				return handler.Nickname(env, client)
			case tasks.KindGroup:
				return handler.Group(env, client)
			default:
				return handler.ID(env, client)
			}
		}
		return connection{platform: "dingtalk", timeout: timeout, build: build, probe: client.CheckToken, ask: client.AskToken}, nil
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
	build := func(_ tasks.Kind, env handler.Env) handler.Func { return handler.Course(env, client) }
	return connection{platform: "classin", timeout: timeout, build: build}, nil
}
