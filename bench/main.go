// Command bench measures rollcall against what a user would write instead: a plain
// asynq client or worker that makes the same call. Both run in one process,
// alternately, on a redis-server that the bench starts, against a platform that accepts
// every call at once. The ratio is therefore more meaningful than either number.
//
// It must not know how rollcall's parts work inside: it connects them as the worker
// does and measures from outside.
//
// The figures of scenes.go are different: whole workers as separate processes, or a
// filled Redis. They take minutes and run only if the prefix names them.
//
//	go run ./bench [-rounds N] [-cpuprofile FILE] [-quick] [-plots DIR] [PREFIX]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// figure is one comparison. It prints one line.
type figure struct {
	name, unit, peerIs string
	// prepare returns the two sides. Each is called once per round and returns one
	// value in the figure's unit; end is called after all rounds.
	prepare func(context.Context, *bench) (sides, error)
	// with is another prefix that selects it; empty: none.
	with string
}

func (f figure) asked(prefix string) bool {
	return strings.HasPrefix(f.name, prefix) || f.with != "" && f.with == prefix
}

// sides are the two that are compared.
type sides struct {
	ours, peer func(context.Context) (float64, error)
	end        func() error
	rounds     int // 0: as many as the command line says
}

func figures() []figure {
	return []figure{
		{"enqueue.one", "tasks/s", "asynq.Client.Enqueue of the same payload, one after another", enqueueOne, ""},
		{"enqueue.bulk", "tasks/s", "asynq.Client.Enqueue of the same payloads in a loop", enqueueBulk, runPrefix},
		{"enqueue.bulk_far", "tasks/s", "the same loop; Redis is 1 ms each way from both, plus the inaccuracy of timers", enqueueFar, runPrefix},
		{"ledger.overhead", "tasks/s", "a bare asynq server of the same concurrency whose handler makes the same call", overhead, ""},
		{"task.pickup_p50", "ms", "a bare asynq server with its defaults whose handler makes the same call", pickup, ""},
	}
}

// options are the command line's options.
type options struct {
	prefix  string // of the figures' names
	rounds  int
	profile string
	quick   bool
	plots   string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	// The errors contain go-redis' messages about its connections, too.
	redis.SetLogger(&logging.VoidLogger{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == bareArgument {
		return runBare(ctx, args[1])
	}
	if len(args) == 2 && args[0] == apiPeerArgument {
		return runAPIPeer(args[1])
	}
	if len(args) == 2 && args[0] == pageArgument {
		return runPages(ctx, args[1])
	}
	if len(args) == 5 && args[0] == nightArgument {
		return nightOfFile(ctx, args[1], args[2], args[3], args[4])
	}
	if len(args) == 3 && args[0] == fileArgument {
		return enqueueFile(ctx, args[1], args[2])
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each side has its turn; the median counts")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of everything in this process, both sides, to `FILE`")
	flag.BoolVar(&o.quick, "quick", false, "one round, and short scenes: only to see that all can be measured")
	flag.StringVar(&o.plots, "plots", "", "draw runs of pace.goodput into `DIR`")
	flag.Parse()
	o.prefix = flag.Arg(0)
	return run(ctx, os.Stdout, o)
}

// run prints the figures whose names begin with the prefix.
func run(ctx context.Context, out io.Writer, o options) error {
	if o.rounds < 1 {
		return fmt.Errorf("-rounds %d: at least one round is needed", o.rounds)
	}
	chosen := slices.DeleteFunc(figures(), func(f figure) bool { return !f.asked(o.prefix) })
	var acts []act
	if o.prefix != "" {
		acts = chosenActs(o)
	}
	if len(chosen)+len(acts) == 0 {
		return fmt.Errorf("no figure begins with %q", o.prefix)
	}
	if len(chosen) > 0 {
		if err := takeTurns(ctx, out, chosen, o); err != nil {
			return err
		}
	}
	if len(acts) > 0 {
		return perform(ctx, out, acts, o)
	}
	return nil
}

// takeTurns measures the figures whose sides take turns.
func takeTurns(ctx context.Context, out io.Writer, chosen []figure, o options) error {
	b, err := start(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	if o.quick {
		o.rounds, b.carried = 1, carriedQuick
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, f := range chosen {
		ours, peer, err := f.measure(ctx, b, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		printFigure(out, result{f.name, ours, peer, f.unit, f.peerIs})
	}
	return nil
}

// measure runs each side in turn, the other side first in every second round, and
// returns the medians. The first round loads scripts and opens connections; it does not
// count.
func (f figure) measure(ctx context.Context, b *bench, rounds int) (ours, peer float64, err error) {
	s, err := f.prepare(ctx, b)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if endErr := s.end(); err == nil {
			err = endErr
		}
	}()
	if s.rounds > 0 {
		rounds = s.rounds
	}
	var values [2][]float64
	turns := [2]func(context.Context) (float64, error){s.ours, s.peer}
	for round := range rounds + 1 {
		for turn := range 2 {
			side := (round + turn) % 2
			v, err := turns[side](ctx)
			if err != nil {
				return 0, 0, err
			}
			if round > 0 {
				values[side] = append(values[side], v)
			}
		}
	}
	return median(values[0]), median(values[1]), nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
