package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/console"
	"rollcall/internal/exitcode"
)

// healthyWithin bounds the request. It is less than the timeout of container engines.
const healthyWithin = 3 * time.Second

func (p *program) healthyCommand() *cobra.Command {
	url := "http://127.0.0.1:8080/readyz"
	cmd := &cobra.Command{
		Use:   "healthy",
		Short: "Check whether a running worker is ready",
		Long: `healthy requests /readyz or /healthz of a worker. It exits with 0 if the answer
is 200, else with 1. It is for container engines: the image contains no curl.`,
		Example: "  worker healthy\n  worker healthy --url http://127.0.0.1:9000/healthz",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.healthy(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&url, "url", url, "`URL` of the probe")
	return cmd
}

func (p *program) healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthyWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return exitcode.AsUsage(fmt.Errorf("--url: %w", err))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from the worker: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("no answer from the worker: %w", err)
	}
	said := strings.TrimSpace(string(answer))
	if response.StatusCode != http.StatusOK {
		return errors.New(said)
	}
	for line := range strings.Lines(said) {
		console.Fprintln(p.stdout, strings.TrimSpace(line))
	}
	return nil
}
