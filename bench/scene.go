package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// scene is a comparison in which both sides run at the same time, as processes
// of their own, each with a Redis and a platform of its own. It yields several
// figures.
type scene struct {
	names []string // of its figures
	play  func(context.Context, *theatre) ([]result, error)
	// with is another prefix that selects them; empty: none.
	with string
}

// asked reports whether a prefix selects a figure of the scene.
func (s scene) asked(name, prefix string) bool {
	return strings.HasPrefix(name, prefix) || s.with != "" && s.with == prefix
}

// result is one figure of a scene.
type result struct {
	name       string
	ours, peer float64
	unit       string
	peerIs     string
}

// act is scenes that have the machine for themselves. Its tracks run concurrently, the
// scenes of a track one after another.
type act [][]scene

// theatre is shared by all scenes.
type theatre struct {
	dir    string                 // for configurations and logs
	worker func() (string, error) // builds the binary once, and returns its path
	plots  string                 // where runs are drawn; empty: nowhere
	tempo  tempo
}

// tempo is how long the scenes take.
type tempo struct {
	warm, measured time.Duration
	// minute is the long window, its calls and how long it is measured.
	minute         time.Duration
	minuteCalls    int
	minuteMeasured time.Duration
	excerpt        time.Duration // what is drawn

	urgent  time.Duration // how long urgent tasks come
	bulk    int           // tasks that they overtake
	visit   time.Duration // how long the stranger stays
	full    time.Duration // over which a lane counts as back at its rate
	settled time.Duration // over which it counts as settled at another
	bound   time.Duration // how long either is waited for

	limiter time.Duration
	idle    time.Duration
	pickups int

	posting time.Duration // how long producers post tasks

	page  pageSize // what the pages show
	views int      // of each page

	rows     int // of a run that is planned or uploaded, and of a roster that is compared
	people   int // of a roster that is synced every night
	nights   int // in which it is
	renames  int // of a run that is carried out
	queued   int // tasks that wait while their bytes are counted
	targets  int // that are settled while theirs are
	killed   int // workers
	killing  time.Duration
	deadline time.Duration // how long the task of a killed worker is waited for
}

func fullTempo() tempo {
	return tempo{
		warm: 10 * time.Second, measured: 30 * time.Second,
		minute: time.Minute, minuteCalls: 2400, minuteMeasured: 3 * time.Minute, excerpt: 10 * time.Second,
		urgent: time.Minute, bulk: 20_000,
		visit: 10 * time.Second, full: 5 * time.Second, settled: 10 * time.Second, bound: 30 * time.Second,
		limiter: 10 * time.Second, idle: 15 * time.Second, pickups: 40, posting: time.Minute,
		page: pageSize{lanes: 1_000, runs: 1_000, rows: 1_000, dead: 50_000, pending: 20, targets: 5_000}, views: 40,
		rows: 1_000_000, people: 10_000, nights: 30, renames: renames, queued: 200_000, targets: 1_000_000, killed: 9, killing: 6 * time.Second, deadline: 3 * time.Minute,
	}
}

// quickTempo is for seeing that every scene works. Its values mean nothing.
func quickTempo() tempo {
	return tempo{
		warm: time.Second, measured: 2 * time.Second,
		minute: 4 * time.Second, minuteCalls: 160, minuteMeasured: 4 * time.Second, excerpt: time.Second,
		urgent: 3 * time.Second, bulk: 300,
		visit: time.Second, full: time.Second, settled: time.Second, bound: 3 * time.Second,
		limiter: time.Second, idle: time.Second, pickups: 4, posting: 3 * time.Second,
		page: pageSize{lanes: 60, runs: 20, rows: 256, dead: 1_000, pending: 5, targets: 200}, views: 4,
		rows: 4_096, people: 300, nights: 3, renames: renamesQuick, queued: 2_000, targets: 20_000, killed: 1, killing: time.Second, deadline: 50 * time.Second,
	}
}

func (o options) tempo() tempo {
	if o.quick {
		return quickTempo()
	}
	return fullTempo()
}

// chosenActs returns the scenes that a prefix selects.
func chosenActs(o options) []act {
	acts := slices.Concat(ledgerActs(), runActs(), nightlyActs(), apiActs(), pageActs(), paceActs(o.tempo()))
	for i := range acts {
		acts[i] = acts[i].chosen(o.prefix)
	}
	return slices.DeleteFunc(acts, func(a act) bool { return len(a) == 0 })
}

// perform runs the scenes and prints the selected figures.
func perform(ctx context.Context, out io.Writer, acts []act, o options) error {
	t := &theatre{plots: o.plots, tempo: o.tempo()}
	var err error
	if t.dir, err = os.MkdirTemp("", "rollcall-bench"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(t.dir) }()
	t.worker = sync.OnceValues(func() (string, error) {
		binary := filepath.Join(t.dir, "worker")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "rollcall/cmd/worker") //nolint:gosec // our own words
		if said, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the worker: %w\n%s", err, said)
		}
		return binary, nil
	})
	for _, a := range acts {
		results, err := a.play(ctx, t)
		if err != nil {
			return err
		}
		for _, r := range results {
			if a.asked(r.name, o.prefix) {
				printFigure(out, r)
			}
		}
	}
	return nil
}

// asked reports whether a prefix selects a figure of the act.
func (a act) asked(name, prefix string) bool {
	return slices.ContainsFunc(slices.Concat(a...), func(s scene) bool {
		return slices.Contains(s.names, name) && s.asked(name, prefix)
	})
}

// chosen are the scenes of an act that have a figure whose name begins so.
func (a act) chosen(prefix string) act {
	var kept act
	for _, track := range a {
		track = slices.DeleteFunc(slices.Clone(track), func(s scene) bool {
			return !slices.ContainsFunc(s.names, func(name string) bool { return s.asked(name, prefix) })
		})
		if len(track) > 0 {
			kept = append(kept, track)
		}
	}
	return kept
}

// play returns the figures of all scenes in the act's own order.
func (a act) play(ctx context.Context, t *theatre) ([]result, error) {
	group, ctx := errgroup.WithContext(ctx)
	tracks := make([][]result, len(a))
	for i, track := range a {
		group.Go(func() error {
			for _, s := range track {
				results, err := s.play(ctx, t)
				if err != nil {
					return fmt.Errorf("%s: %w", s.names[0], err)
				}
				tracks[i] = append(tracks[i], results...)
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(tracks...), err
}

func printFigure(out io.Writer, r result) {
	ratio := "none" // to nothing
	if r.peer != 0 {
		ratio = fmt.Sprintf("%.2f", r.ours/r.peer)
	}
	fmt.Fprintf(out, "figure=%s ours=%s peer=%s ratio=%s unit=%s peer_is=%q\n",
		r.name, digits(r.ours), digits(r.peer), ratio, r.unit, r.peerIs)
}

// digits formats small values with more digits.
func digits(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
