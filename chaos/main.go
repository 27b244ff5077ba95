// Command chaos runs rollcall while everything around it is killed, and then compares
// the state of the platforms with what was acknowledged. It uses a real redis-server,
// four workers as separate processes, and both platforms emulated in this process with
// faults of every kind.
//
// It must not know how rollcall's parts work inside: it enqueues as a producer does,
// kills processes, and reads what an operator can read.
//
//	go run ./chaos -worker bin/worker [-duration 10m] [-tasks 20000] [-variant always]
//	[-seed N]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// settings are the command line's settings.
type settings struct {
	worker   string        // the worker's binary
	other    string        // directory with the worker and enqueue of another commit; "": none
	variant  string        // one of variants
	duration time.Duration // of the chaos; the rest takes as long as it takes
	tasks    int
	runs     int // rows of the long run; 0: there are no runs
	workers  int
	seed     uint64
	drain    time.Duration // how long is waited for the tasks to end
	keep     bool          // the directory with logs and Redis' files
}

// The topologies, and what happens to each.
const (
	always   = "always"   // appendfsync always: killed, nothing may be lost
	everysec = "everysec" // appendfsync everysec: power loss, up to two seconds are lost
	sentinel = "sentinel" // a master dies whose replica lags
	cluster  = "cluster"  // so does one of three masters
	gateway  = "gateway"  // as always, behind a gateway that fails: holds must end soon
	late     = "late"     // as gateway, and calls that take effect after they were given up
	vandal   = "vandal"   // nothing is killed; keys of one organisation are damaged
)

var variants = []string{always, everysec, sentinel, cluster, gateway, late, vandal}

// lossy reports that acknowledged writes may be lost: losses are counted and healed.
func lossy(variant string) bool {
	return variant == everysec || variant == sentinel || variant == cluster
}

// failing reports that the platforms are behind a gateway that fails.
func failing(variant string) bool { return variant == gateway || variant == late }

// withRuns reports that runs are sent, too. The pace of a vandal's victims is measured
// without them, and workers of another commit may not know them.
func withRuns(s settings) bool { return s.variant != vandal && !lossy(s.variant) && s.other == "" }

var errViolated = errors.New("what was promised was not kept")

func main() {
	log.SetFlags(0)
	log.SetPrefix("chaos: ")
	// go-redis' messages about its connections are expected here.
	redis.SetLogger(&logging.VoidLogger{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func command(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 2 && args[0] == uploaderArgument {
		return runUploader(ctx, args[1])
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rollcall-chaos-")
	if err != nil {
		return err
	}
	err = perform(ctx, out, s, dir)
	if err != nil || s.keep {
		fmt.Fprintf(out, "logs of workers and Redis are in %s\n", dir)
		return err
	}
	return os.RemoveAll(dir)
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&s.worker, "worker", "bin/worker", "the worker's `FILE`, as make build builds it")
	flags.StringVar(&s.other, "other", "", "`DIR` with worker and enqueue of another commit: every second worker and producer is of it")
	flags.StringVar(&s.variant, "variant", always, "which Redis and faults: always, everysec, sentinel, cluster, gateway, late or vandal")
	flags.DurationVar(&s.duration, "duration", 10*time.Minute, "how long the chaos lasts")
	flags.IntVar(&s.tasks, "tasks", 20_000, "number of tasks to enqueue")
	flags.IntVar(&s.workers, "workers", 4, "how many worker processes")
	flags.Uint64Var(&s.seed, "seed", 1, "equal seeds give equal tasks, faults and intervals")
	flags.DurationVar(&s.drain, "drain", 20*time.Minute, "how long the tasks may take to end afterwards")
	flags.BoolVar(&s.keep, "keep", false, "keep the logs even if all is well")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("%q is no flag", flags.Arg(0))
	case !slices.Contains(variants, s.variant):
		return s, fmt.Errorf("-variant %s: want %s", s.variant, strings.Join(variants, ", "))
	case s.tasks < 100 || s.workers < 1 || s.duration < 10*time.Second:
		return s, errors.New("at least 100 tasks, one worker and ten seconds are needed to see anything")
	}
	worker, err := filepath.Abs(s.worker)
	if err != nil {
		return s, err
	}
	if _, err := os.Stat(worker); err != nil {
		return s, fmt.Errorf("-worker: %w: build it with make build", err)
	}
	s.worker = worker
	if withRuns(s) {
		s.runs = s.tasks
		if s.variant == gateway { // which ends soon only if the lanes are not full anyway
			s.runs /= 10
		}
	}
	if s.variant == vandal {
		if _, err := os.Stat(filepath.Join(filepath.Dir(worker), "rollcall")); err != nil {
			return s, fmt.Errorf("-variant vandal repairs with the command rollcall, next to the worker: %w: build it with make build", err)
		}
		if s.duration < time.Minute {
			return s, errors.New("-variant vandal: at least a minute is needed to compare the pace")
		}
	}
	if s.other != "" {
		if s.variant == sentinel || s.variant == cluster {
			return s, errors.New("-other: the command enqueue gets the URL of one server here; choose another -variant")
		}
		if s.other, err = filepath.Abs(s.other); err != nil {
			return s, err
		}
	}
	return s, nil
}
