package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/audit"
	"rollcall/internal/config"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/ui"
)

// openAccess prepares who may use the HTTP API and the pages. It does so without tokens, too: a
// reload may add some.
func (w *worker) openAccess() {
	w.tokens = access.NewTokens(grants(w.cfg)...)
	w.users = access.NewUsers(accounts(w.cfg)...)
	w.trail = &access.Trail{Log: w.log, Write: func(ctx context.Context, token, what string) error {
		return audit.Write(ctx, w.rdb, audit.Event{
			Event: "api.change", Level: "token", Name: token, Class: string(hold.Operator), Reason: what, By: "token:" + token,
		})
	}}
}

// api returns the HTTP API that the guard protects.
func (w *worker) api() http.Handler {
	served := api.New(api.Config{Runs: w.runs, Producer: w.producer, Redis: w.rdb, Log: w.log})
	w.onClose(served.Close)
	return served
}

// guard returns what lets requests through to the HTTP API.
func (w *worker) guard() access.Guard {
	return access.Guard{
		Tokens: w.tokens, Guesses: new(access.Guesses), Proxies: proxies(w.cfg), Record: w.trail.Record, Observer: w.counts, Log: w.log,
		Public: api.Public,
	}
}

// grants returns the tokens of a configuration.
func grants(cfg *config.Config) []access.Grant {
	var all []access.Grant
	for _, t := range cfg.API.Tokens {
		hashes, _ := access.ParseHashes(t.Hash.Value.Reveal()) // judged by config.Load
		g := access.Grant{Principal: access.Principal{Token: t.Name, Tenants: t.Tenants}, Expires: t.Until(), Hashes: hashes}
		for _, s := range t.Scopes {
			g.Scopes = append(g.Scopes, access.Scope(s))
		}
		all = append(all, g)
	}
	return all
}

// accounts returns the users of a configuration.
func accounts(cfg *config.Config) []access.Account {
	var all []access.Account
	for _, u := range cfg.HTTP.Users {
		all = append(all, access.Account{Name: u.Name, Password: u.Password.Value, Role: access.Role(u.Role), Names: u.Names})
	}
	return all
}

// ui returns rollcall's own pages, and the login that asynq's share with them.
func (w *worker) ui() (http.Handler, *access.Login) {
	login := access.NewLogin(access.LoginConfig{
		Users: w.users, Sessions: access.NewSessions(w.rdb, time.Now), Proxies: proxies(w.cfg), Observer: w.counts, Log: w.log,
	})
	w.state = overview.NewReader(overview.Config{Redis: w.rdb, Ledger: w.record, Runs: w.runs})
	pages := ui.New(ui.Config{
		Login: login, Redis: w.rdb, Ledger: w.record, Runs: w.runs, Producer: w.producer, State: w.state, Log: w.log,
	})
	w.onClose(pages.Close)
	return pages, login
}

func proxies(cfg *config.Config) access.Proxies {
	all, _ := access.ParseProxies(cfg.HTTP.Proxy) // judged by config.Load
	return all
}

// takeAccess gives the running parts the tokens, webhooks and robots of w.cfg, and the certificate
// of its files.
func (w *worker) takeAccess() {
	w.tokens.Replace(grants(w.cfg))
	w.hooks.Set(w.endpoints(w.cfg))
	w.counts.SetWebhooks(webhookNames(w.cfg))
	if w.tls == nil {
		return
	}
	certificate, err := tls.LoadX509KeyPair(w.cfg.HTTP.TLS.Cert, w.cfg.HTTP.TLS.Key)
	if err != nil {
		w.log.Error("certificate not reloaded; the old one stays in use", "err", err)
		return
	}
	w.tls.SetCertificate(certificate)
	if leaf := certificate.Leaf; leaf != nil {
		w.log.Info("certificate in use", "until", leaf.NotAfter)
	}
}
