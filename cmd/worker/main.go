// Command worker carries out rollcall's tasks. It is the only place that knows
// every room: it wires them in the order in which they depend on each other.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules have time zones, and an image without a system has none

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func main() {
	// What go-redis has to say of its connections stands in our errors as well.
	redis.SetLogger(&logging.VoidLogger{})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal kills: the first one's handler is gone by then.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr, hangups))
}

// hangups catches SIGHUP from now on. A command that does not ask for it ends
// with its terminal, as is usual.
func hangups() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup
}
