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

	"rollcall/internal/exitcode"
)

// healthyWithin bounds the question, below what container engines allow.
const healthyWithin = 3 * time.Second

func (p *program) healthyCommand() *cobra.Command {
	url := "http://127.0.0.1:8080/readyz"
	cmd := &cobra.Command{
		Use:   "healthy",
		Short: "Ask a running worker whether it is ready",
		Long: `healthy asks a worker's /readyz or /healthz and exits 0 if it says yes, else 1.
It is for container engines: an image without a shell has no curl.`,
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
		return fmt.Errorf("the worker does not answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("the worker does not answer: %w", err)
	}
	said := strings.TrimSpace(string(answer))
	if response.StatusCode != http.StatusOK {
		return errors.New(said)
	}
	fmt.Fprintln(p.stdout, said)
	return nil
}
