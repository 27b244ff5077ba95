package main

import (
	"context"

	"rollcall/internal/config"
	"rollcall/internal/secret"
)

// takeSecrets gives the running parts the secrets of w.cfg that differ from those of the
// configuration before. Running tasks continue: a call keeps its token or signature.
func (w *worker) takeSecrets(ctx context.Context, before *config.Config) {
	w.password.Store(&w.cfg.Redis.Password.Value)
	w.users.SetPasswords(accounts(w.cfg))
	was := tenantSecrets(before)
	for tenant, now := range tenantSecrets(w.cfg) {
		if now.Reveal() == was[tenant].Reveal() {
			continue
		}
		w.tenants[tenant].client.SetSecret(now)
		if err := w.lanes.CredentialsChanged(ctx, tenant); err != nil {
			w.log.Warn("new secret in use, but no early probe of the tenant's hold requested", "tenant", tenant, "err", err)
		}
	}
}

func tenantSecrets(cfg *config.Config) map[string]secret.Text {
	all := map[string]secret.Text{}
	for _, t := range cfg.Tenants() {
		all[t.Name] = t.Platform().Secret
	}
	return all
}
