package watch

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"rollcall/internal/console"
)

// belowBar is how many lines stand below the bar at most: what holds the run back, and
// why rows failed.
const belowBar = 5

// bar shows a run on a terminal.
type bar struct {
	screen   *os.File
	progress *mpb.Progress
	bar      *mpb.Bar
	view     atomic.Pointer[view]
}

func newBar(screen *os.File) *bar {
	b := &bar{screen: screen, progress: mpb.New(mpb.WithOutput(screen))}
	b.view.Store(&view{})
	fillers := make([]mpb.BarFiller, belowBar)
	for i := range fillers {
		fillers[i] = mpb.BarFillerFunc(func(w io.Writer, stat decor.Statistics) error { return b.below(w, stat, i) })
	}
	b.bar = b.progress.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.left() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.view.Load().pace() })),
		mpb.BarBtmExtender(fillers...),
	)
	return b
}

func (b *bar) show(v *view) {
	b.view.Store(v)
	b.bar.SetTotal(int64(v.of), false)
	b.bar.SetCurrent(int64(v.done))
}

// left stands before the bar.
func (b *bar) left() string {
	v := b.view.Load()
	return fmt.Sprintf("%s %d/%d %3.0f%%", v.run.State, v.done, v.of, v.percent())
}

// below writes a line below the bar, or nothing.
func (b *bar) below(w io.Writer, stat decor.Statistics, i int) error {
	v := b.view.Load()
	all := slices.Concat(v.held, v.causes)
	if i >= len(all) {
		return nil
	}
	// A line as wide as the terminal would wrap on some.
	console.Fprintf(w, "%s\n", console.Cut("  "+console.Line(all[i]), max(stat.AvailableWidth-1, 1)))
	return nil
}

// end leaves the bar as it is.
func (b *bar) end(complete bool) {
	if complete { // what is below the bar is printed after it
		v := *b.view.Load()
		v.held, v.causes = nil, nil
		b.view.Store(&v)
		b.bar.SetTotal(-1, true)
	} else {
		console.Fprintf(b.screen, "\r") // the terminal shows ^C where the next drawing begins
		b.bar.Abort(false)
	}
	b.progress.Wait()
}
