// Command enqueue puts tasks into Redis for rollcall's workers: one from its
// arguments, or many from a CSV file. It also shows how the workers' lanes get
// on, and holds and releases them.
//
// It must not know any platform: the workers alone talk to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func main() {
	// What go-redis has to say of its connections stands in our errors as well.
	redis.SetLogger(&logging.VoidLogger{})
	// A reader that closes the pipe is an error of a write, not the end of the
	// process between two rows.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, environment{os.Getenv, os.Hostname})
	stop()
	os.Exit(code)
}
