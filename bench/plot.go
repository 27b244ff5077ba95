package main

import (
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// trace is an excerpt of a run of both sides, with what is needed to draw it.
type trace struct {
	Window    string        `json:"window"`
	Calls     int           `json:"calls"` // the limit
	Per       time.Duration `json:"per_ns"`
	Processes int           `json:"processes"`
	Length    time.Duration `json:"length_ns"` // of the excerpt
	Ours      stretch       `json:"ours"`
	Peer      stretch       `json:"peer"`
}

// stretch is all calls of a side from its start: calls before the excerpt count in it.
type stretch struct {
	From  time.Duration `json:"from_ns"` // where the excerpt begins
	Calls calls         `json:"calls"`
}

// The sizes of the drawing.
const (
	plotWidth   = 900.0
	panelLeft   = 56.0
	panelRight  = 12.0
	panelHeight = 150.0
	panelTop    = 62.0  // of the first panel
	panelStep   = 262.0 // from one to the next
	plotHeight  = panelTop + panelStep + panelHeight + 62
	instants    = 1000 // at which the level is drawn
)

// plotStyle follows the reader's choice of light or dark.
const plotStyle = `<style>
text{font:12px sans-serif;fill:#24292f}.title{font-size:14px;font-weight:bold}
line,path{fill:none;stroke-width:1.5}.paper{fill:#fff}.grid{stroke:#d0d7de;stroke-width:1}
.limit{stroke:#24292f;stroke-dasharray:5 4}.level{stroke:#57606a}.ok{stroke:#0969da}.no{stroke:#cf222e}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}
.limit{stroke:#e6edf3}.level{stroke:#9198a1}.ok{stroke:#58a6ff}.no{stroke:#ff7b72}}
</style>
`

// save writes the trace and its drawing, named after the window, into a directory.
func (t trace) save(dir string) error {
	drawing, err := t.plot()
	if err != nil {
		return err
	}
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, t.Window+".json"), data, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, t.Window+".svg"), []byte(drawing), 0o600)
}

// plot draws the excerpt as SVG: a panel for each side, one above the other.
func (t trace) plot() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img">`+"\n", plotWidth, plotHeight)
	b.WriteString(plotStyle)
	fmt.Fprintf(&b, `<rect class="paper" width="%g" height="%g"/>`+"\n", plotWidth, plotHeight)
	text(&b, panelLeft, 20, "title", fmt.Sprintf("%s, %d calls in %s", t.title(), t.Calls, t.Per))
	for i, side := range []struct {
		name    string
		stretch stretch
	}{{"rollcall", t.Ours}, {"asynq with the limiter of its wiki", t.Peer}} {
		shown := side.stretch.Calls.between(side.stretch.From, side.stretch.From+t.Length)
		p := panel{&b, t, side.stretch, panelTop + float64(i)*panelStep}
		text(&b, panelLeft, p.top-24, "side", fmt.Sprintf("%s, %d processes: %d calls accepted, %d refused",
			side.name, t.Processes, shown.accepted(), len(shown)-shown.accepted()))
		p.frame()
		if err := p.level(); err != nil {
			return "", err
		}
		p.marks(shown)
	}
	b.WriteString("</svg>\n")
	return b.String(), nil
}

func (t trace) title() string {
	switch t.Window {
	case fixedKind:
		return "Window fixed to the clock"
	case bucketKind:
		return "Token bucket"
	}
	return "Sliding window"
}

func (t trace) axis() string {
	switch t.Window {
	case fixedKind:
		return "accepted in this " + t.Per.String()
	case bucketKind:
		return "tokens left"
	}
	return "accepted in the last " + t.Per.String()
}

// panel is one side's part of the drawing.
type panel struct {
	b       *strings.Builder
	t       trace
	stretch stretch
	top     float64
}

func (p panel) x(at time.Duration) float64 {
	return panelLeft + (plotWidth-panelLeft-panelRight)*float64(at-p.stretch.From)/float64(p.t.Length)
}

func (p panel) y(level float64) float64 {
	return p.top + panelHeight*(1-level/float64(p.t.Calls))
}

// frame draws the axes and the limit.
func (p panel) frame() {
	const right, bottom = plotWidth - panelRight, panelHeight
	for i := range 5 {
		level := float64(p.t.Calls*i) / 4
		class := "grid"
		if i == 4 {
			class = "limit"
		}
		line(p.b, class, panelLeft, p.y(level), right, p.y(level))
		text(p.b, panelLeft-8, p.y(level)+4, "tick", fmt.Sprintf("%g", level), `text-anchor="end"`)
	}
	for i := range 11 {
		at := p.stretch.From + p.t.Length*time.Duration(i)/10
		line(p.b, "grid", p.x(at), p.top+bottom, p.x(at), p.top+bottom+4)
		text(p.b, p.x(at), p.top+bottom+40, "tick", fmt.Sprintf("%.3g", (at-p.stretch.From).Seconds()), `text-anchor="middle"`)
	}
	text(p.b, (panelLeft+right)/2, p.top+bottom+56, "axis", "seconds; blue: a call accepted, red: a call refused", `text-anchor="middle"`)
	text(p.b, 0, 0, "axis", p.t.axis(),
		fmt.Sprintf(`text-anchor="middle" transform="translate(16 %g) rotate(-90)"`, p.top+bottom/2))
}

// level draws how full the platform's window was, by letting the accepted calls
// run through one like it.
func (p panel) level() error {
	w, err := newWindow(p.t.Window, p.t.Calls, p.t.Per)
	if err != nil {
		return err
	}
	rest := p.stretch.Calls
	drawn := -1.0
	fmt.Fprintf(p.b, `<path class="level" d="`)
	for i := range instants + 1 {
		at := p.stretch.From + p.t.Length*time.Duration(i)/instants
		for ; len(rest) > 0 && rest[0].At <= at; rest = rest[1:] {
			if rest[0].OK {
				w.take(rest[0].At)
			}
		}
		level := w.level(at)
		switch {
		case i == 0:
			fmt.Fprintf(p.b, "M%.1f %.1f", p.x(at), p.y(level))
		case level != drawn || i == instants:
			fmt.Fprintf(p.b, "H%.1fV%.1f", p.x(at), p.y(level))
		}
		drawn = level
	}
	p.b.WriteString(`"/>` + "\n")
	return nil
}

// marks draws accepted calls below the axis and refused ones above the limit, so that
// they differ by more than colour.
func (p panel) marks(shown calls) {
	for _, one := range shown {
		x := p.x(one.At)
		if one.OK {
			line(p.b, "ok", x, p.top+panelHeight+8, x, p.top+panelHeight+22)
			continue
		}
		fmt.Fprintf(p.b, `<path class="no" d="M%.1f %.1fl6 6m0 -6l-6 6"/>`+"\n", x-3, p.top-12)
	}
}

func line(b *strings.Builder, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func text(b *strings.Builder, x, y float64, class, said string, attributes ...string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" %s>%s</text>`+"\n", class, x, y, strings.Join(attributes, " "), html.EscapeString(said))
}
