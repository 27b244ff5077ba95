package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/webhook"
)

func (p *program) webhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "webhook",
		Short:   "Test webhooks",
		Long:    "webhook tests the webhooks of the worker's configuration.",
		Example: "  worker webhook test grades --config rollcall.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.testWebhookCommand())
	return cmd
}

func (p *program) testWebhookCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Call a webhook once",
		Long: `test calls the URL of a webhook with a signed event of type webhook.test, from
this machine and under the rules that workers follow. It does not use Redis.

Exit codes:
  0   the URL answered with 2xx
  1   another answer, or none
  64  wrong flags or arguments
  78  invalid configuration`,
		Example: "  worker webhook test grades --config /etc/rollcall/rollcall.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exitcode.AsUsage(fmt.Errorf("expected one argument, NAME, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.testWebhook(cmd.Context(), file, args[0]) },
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` (YAML); required")
	return cmd
}

func (p *program) testWebhook(ctx context.Context, file, name string) error {
	if file == "" {
		return exitcode.AsUsage(fmt.Errorf("missing --config: the file that names webhook %.40q", name))
	}
	cfg, err := p.load(ctx, file)
	if err != nil {
		return exitcode.AsConfig(err)
	}
	all := webhooks(cfg)
	i := slices.IndexFunc(all, func(e webhook.Endpoint) bool { return e.Name == name })
	if i < 0 {
		return exitcode.AsUsage(fmt.Errorf("%s names no webhook %.40q; it has %d", file, name, len(all)))
	}
	began := time.Now()
	event := webhook.Event{ID: "test-" + uuid.NewString(), Type: "webhook.test", Time: began, Data: struct{}{}}
	if err := all[i].Send(ctx, event); err != nil {
		return fmt.Errorf("webhook %s: %w", name, err)
	}
	console.Fprintf(p.stdout, "webhook %s accepted event %s after %s\n", name, event.ID, time.Since(began).Round(time.Millisecond))
	return nil
}
