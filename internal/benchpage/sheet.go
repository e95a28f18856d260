package benchpage

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// Sheet is what was found by several runs together. Apart from its title, all
// of it may be missing.
type Sheet struct {
	Title  string
	Origin *loadgen.Origin
	Notes  []string // what its reader must know
	Curves []Curve
	Tables []Table
	// Runs are shown below, as a page about them shows them.
	Runs []Run
}

// Curve is a chart over something in which runs differ.
type Curve struct {
	Title, Unit string // of its values
	Over        string // what they are over, in the plural
	Log         bool   // that grows by factors: it is drawn so, and only above 0
	Lines       []Line
}

// Line is one of a chart's, from left to right. A chart with one needs no name.
type Line struct {
	Name   string
	Points []Point
}

// Point is a value of a line.
type Point struct{ X, Y float64 }

// Table has as many cells in each row as it has columns.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
}

// WriteSheet writes a page about a sheet.
func WriteSheet(w io.Writer, s Sheet) error {
	if err := whole(s.Runs); err != nil {
		return err
	}
	v := newView(s.Runs)
	o := newOrigin(s.Origin)
	v.Title, v.Command = clean(s.Title), o.Command
	v.Subtitle = strings.Join(nonEmpty(o.Started, o.Machine), " · ")
	for _, n := range s.Notes {
		v.Notes = append(v.Notes, clean(n))
	}
	for _, c := range s.Curves {
		if c := c.draw(); c != nil {
			v.Curves = append(v.Curves, c)
		}
	}
	for _, t := range s.Tables {
		v.Tables = append(v.Tables, t.clean())
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("socketeer: writing the page: %w", err)
	}
	return nil
}

func (t Table) clean() Table {
	texts := func(list []string) []string {
		cleaned := make([]string, len(list))
		for i, s := range list {
			cleaned[i] = clean(s)
		}
		return cleaned
	}
	c := Table{Title: clean(t.Title), Columns: texts(t.Columns)}
	for _, row := range t.Rows {
		c.Rows = append(c.Rows, texts(row))
	}
	return c
}

// draw returns nil when there is nothing to draw.
func (c Curve) draw() *chart {
	place := func(x float64) float64 {
		if c.Log {
			return math.Log2(x)
		}
		return x
	}
	low, high := math.Inf(1), math.Inf(-1)
	var lines []line
	for i, l := range c.Lines {
		drawn := line{index: i % colours, name: clean(l.Name)}
		for _, p := range l.Points {
			x := place(p.X)
			if !drawable(x) || !drawable(p.X) {
				continue
			}
			low, high = min(low, x), max(high, x)
			drawn.points = append(drawn.points, point{x, p.Y, short(p.X, 1) + " " + clean(c.Over) + ": "})
		}
		lines = append(lines, drawn)
	}
	if !(high-low > 1e-6) { // one place, or none
		low, high = low-1, high+1
	}
	margin := (high - low) / 20
	x := scale{low - margin, high + margin, left, right}
	drawn := draw(clean(c.Title), clean(c.Unit), lines, x, "")
	if drawn == nil {
		return nil
	}
	drawn.Unit += ", over " + clean(c.Over)
	drawn.Labelled = len(lines) == 1
	for i := range drawn.Curves {
		drawn.Curves[i].Marked = true
	}
	drawn.X = c.ticks(x, place)
	return drawn
}

// nextTick is how far apart the labels of places are at least.
const nextTick = 34

// ticks are the places of the points themselves, as far as they do not touch.
func (c Curve) ticks(x scale, place func(float64) float64) []tick {
	var list []tick
	last := math.Inf(-1)
	for _, l := range c.Lines[:1] {
		for _, p := range l.Points {
			at := x.at(place(p.X))
			if drawable(at) && drawable(p.X) && at-last >= nextTick {
				list = append(list, tick{coordinate(at), short(p.X, 1)})
				last = at
			}
		}
	}
	return list
}

// date is a time for people, nothing when it is not known.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2 January 2006, 15:04 MST")
}

// whole checks that each run has a report.
func whole(runs []Run) error {
	for _, run := range runs {
		if run.Report == nil {
			return fmt.Errorf("socketeer: run %q has no report", run.Name)
		}
	}
	return nil
}
