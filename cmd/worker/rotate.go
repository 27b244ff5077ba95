package main

import (
	"context"

	"rollcall/internal/config"
	"rollcall/internal/secret"
)

// takeSecrets gives the running parts the secrets of w.cfg where those of the
// configuration before were others. Tasks under way go on: a call keeps the
// token or the signature that it has.
func (w *worker) takeSecrets(ctx context.Context, before *config.Config) {
	w.password.Store(&w.cfg.Redis.Password.Value)
	if w.page != nil {
		w.page.SetPasswords(pageUsers(w.cfg))
	}
	was := tenantSecrets(before)
	for tenant, now := range tenantSecrets(w.cfg) {
		if now.Reveal() == was[tenant].Reveal() {
			continue
		}
		w.rotate[tenant](now)
		if err := w.lanes.CredentialsChanged(ctx, tenant); err != nil {
			w.log.Warn("the new secret is in use; a hold of the tenant is probed at its usual time", "tenant", tenant, "err", err)
		}
	}
}

func tenantSecrets(cfg *config.Config) map[string]secret.Text {
	all := map[string]secret.Text{}
	for _, org := range cfg.Organisations {
		for _, t := range org.Tenants {
			all[t.Name] = t.Platform().Secret
		}
	}
	return all
}
