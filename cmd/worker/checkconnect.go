package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/internal/config"
)

// tryFor bounds each check.
const tryFor = 15 * time.Second

// tryAll runs all free checks outside the file concurrently. The findings have the order
// of the file.
func tryAll(ctx context.Context, cfg *config.Config) []finding {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	tries := []func() []finding{func() []finding { return tryRedis(ctx, cfg.Redis) }}
	for _, t := range cfg.Tenants() {
		tries = append(tries, func() []finding { return []finding{tryTenant(ctx, t)} })
	}
	found := make([][]finding, len(tries))
	var wg sync.WaitGroup
	for i, try := range tries {
		wg.Go(func() { found[i] = try() })
	}
	wg.Wait()
	all := slices.Concat(found...)
	for _, r := range cfg.Robots {
		all = append(all, finding{
			Subject: "robot " + r.Name, Verdict: notTried,
			Text: "a message would count against the month's; the first report shows whether the webhook and the secret are right",
		})
	}
	return all
}

func tryTenant(ctx context.Context, t *config.Tenant) finding {
	f, platform := finding{Subject: "tenant " + t.Name}, t.Platform().Title
	c, err := newConnection(t)
	if err == nil {
		defer c.client.Close()
		if c.probe == nil {
			f.Verdict = notTried
			f.Text = platform + " has no free call without an effect; the first task shows whether the secret is right"
			return f
		}
		err = c.probe(ctx)
	}
	if err != nil {
		f.Verdict, f.Text = problem, "no token: "+err.Error()
		return f
	}
	f.Verdict, f.Text = fine, platform+" returned a token; the first task of each kind shows the permissions of the app"
	return f
}
