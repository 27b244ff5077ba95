package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/console"
	"rollcall/internal/demo"
	"rollcall/internal/exitcode"
	"rollcall/internal/readfile"
	"rollcall/internal/sandbox"
)

// sandboxFileMax bounds a world or a scenario, in bytes.
const sandboxFileMax = 64 << 20

func (p *program) sandboxCommand() *cobra.Command {
	var listen, world, scenario string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Emulate both platforms on this machine",
		Long: `sandbox emulates DingTalk and ClassIn, strictly as documented, with rate
windows, a monthly quota, the year lock, and faults on request. It records every
call and every effect, and serves them as JSON under /_sandbox/.

Without --world it has the data of the demo's sample school.`,
		Example: "  worker sandbox --listen 127.0.0.1:9090 --scenario faults.yaml\n" +
			"  curl http://127.0.0.1:9090/_sandbox/effects",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := sandboxConfig(world, scenario)
			if err != nil {
				return exitcode.AsConfig(err)
			}
			s, err := startSandbox(cfg, listen)
			if err != nil {
				return err
			}
			console.Fprintf(p.stdout, "both platforms run at %s; their state is at %s/_sandbox/\n", s.url, s.url)
			<-cmd.Context().Done()
			s.close()
			return nil
		},
	}
	cmd.Flags().StringVarP(&listen, "listen", "l", "127.0.0.1:9090", "loopback `address`")
	cmd.Flags().StringVar(&world, "world", "", "`file` (YAML) of organisations; default: sample school")
	cmd.Flags().StringVar(&scenario, "scenario", "", "`file` (YAML) with limits and faults")
	return cmd
}

func sandboxConfig(world, scenario string) (cfg sandbox.Config, err error) {
	cfg.World = demo.World(time.Now())
	if world != "" {
		if cfg.World, err = loadFile(world, sandbox.LoadWorld); err != nil {
			return cfg, err
		}
	}
	if scenario != "" {
		cfg.Scenario, err = loadFile(scenario, sandbox.LoadScenario)
	}
	return cfg, err
}

func loadFile[T any](path string, load func(io.Reader) (T, error)) (loaded T, err error) {
	content, err := readfile.Whole(path, sandboxFileMax)
	if err != nil {
		return loaded, err
	}
	if loaded, err = load(bytes.NewReader(content)); err != nil {
		return loaded, fmt.Errorf("%s: %w", path, err)
	}
	return loaded, nil
}

// emulated is a sandbox that listens.
type emulated struct {
	*sandbox.Sandbox

	url    string
	server *http.Server
	done   chan struct{}
}

// startSandbox listens on a loopback address, because the sandbox has no access control.
func startSandbox(cfg sandbox.Config, address string) (*emulated, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, exitcode.AsUsage(fmt.Errorf("sandbox: --listen %s: %w", address, err))
	}
	if !resolved.IP.IsLoopback() {
		return nil, exitcode.AsUsage(fmt.Errorf("sandbox: --listen %s: other machines can reach this address; use 127.0.0.1 or [::1]", address))
	}
	platforms, err := sandbox.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	listener, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		platforms.Close()
		return nil, fmt.Errorf("sandbox: %w; choose another address with --listen", err)
	}
	e := &emulated{
		Sandbox: platforms,
		url:     "http://" + listener.Addr().String(),
		server:  &http.Server{Handler: platforms, ReadHeaderTimeout: 5 * time.Second},
		done:    make(chan struct{}),
	}
	go func() {
		defer close(e.done)
		_ = e.server.Serve(listener) // ends only with close
	}()
	return e, nil
}

func (e *emulated) close() {
	e.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := e.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = e.server.Close()
	}
	<-e.done
}
