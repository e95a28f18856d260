package benchpage

import (
	"math"
	"strconv"
	"strings"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// MaxRuns is how many runs a page can tell apart.
const MaxRuns = colours

// colours is how many curves have a colour of their own in the page's style.
const colours = 8

// Size of a chart, and of the part inside its axes, in the page's pixels on a
// wide screen.
const (
	chartWidth  = 480
	chartHeight = 220
	left        = 52
	right       = chartWidth - 10
	top         = 10
	bottom      = chartHeight - 26
)

// chart is a figure with curves, or columns, over one horizontal axis.
type chart struct {
	Title, Unit string
	Compared    bool // the curves are of several runs
	Curves      []curve
	Blocks      []block
	X, Y        []tick
	Warmup      string // width of the part that is not measured
	Labelled    bool   // each point's value is written above it
}

// curve is a line of a chart.
type curve struct {
	Index  int // of its colour
	Name   string
	Path   string // of the line
	Points []dot
	Marked bool // each point is to be seen
}

// dot is a point of a curve, with its value and what it says when pointed at.
type dot struct{ X, Y, Value, Text string }

// tick is a place on an axis.
type tick struct{ At, Text string }

// point is a value of a curve before it is drawn.
type point struct {
	x, y  float64
	label string // what its value is of, instead of x; may be missing
}

// line is a curve before it is drawn.
type line struct {
	index  int
	name   string
	points []point
}

// charts draws what the runs have of each course over time.
func charts(runs []Run, views []runView) []*chart {
	var list []*chart
	course := func(title, unit string, from courseOf, of ...series) {
		if c := overTime(title, unit, runs, views, from, of); c != nil {
			list = append(list, c)
		}
	}
	p50 := series{"p50", positive(func(s loadgen.Second) float64 { return s.P50 })}
	p99 := series{"p99", positive(func(s loadgen.Second) float64 { return s.P99 })}
	server := series{"server", positive(func(s loadgen.Second) float64 { return s.ServerCores })}
	generator := series{"generator", func(s loadgen.Second) float64 { return s.GeneratorCores }}
	course("Connections", "connections", ofIdle, series{"connected", func(s loadgen.Second) float64 { return float64(s.Conns) }})
	course("Accepted", "connections/s", ofIdle, series{"accepted", func(s loadgen.Second) float64 { return s.PerSecond }})
	course("Connections back", "connections", ofStorm, series{"back", func(s loadgen.Second) float64 { return float64(s.Back) }})
	course("Returns", "connections/s", ofStorm, series{"returns", func(s loadgen.Second) float64 { return s.PerSecond }})
	course("Throughput", "messages/s", underLoad, series{"messages", func(s loadgen.Second) float64 { return s.PerSecond }})
	course("Clients away", "clients", withAway, series{"away", func(s loadgen.Second) float64 { return float64(s.Away) }})
	if len(runs) == 1 {
		course("Latency", "ms", underLoad, p50, p99)
		course("CPU", "cores", ofAny, server, generator)
	} else {
		course("Latency, p50", "ms", underLoad, p50)
		course("Latency, p99", "ms", underLoad, p99)
		course("CPU of the servers", "cores", ofAny, server)
		course("CPU of the generator", "cores", ofAny, generator)
	}
	course("Memory of the servers", "MiB", ofAny, series{"memory", positive(func(s loadgen.Second) float64 { return float64(s.ServerKiB) / 1024 })})
	return list
}

// courseOf is the course of a run that a chart is about; nil: it has none.
type courseOf func(r *loadgen.Report) []loadgen.Second

func underLoad(r *loadgen.Report) []loadgen.Second {
	if r.Load == nil {
		return nil
	}
	return r.Load.Series
}

// withAway is the course of a run from which clients are taken away.
func withAway(r *loadgen.Report) []loadgen.Second {
	if r.Drops == nil && r.Deploy == nil {
		return nil
	}
	return underLoad(r)
}

// ofIdle is the course of a run without a load, from its first connection on.
func ofIdle(r *loadgen.Report) []loadgen.Second {
	if r.Load != nil || r.Storm != nil {
		return nil
	}
	return r.Series
}

func ofStorm(r *loadgen.Report) []loadgen.Second {
	if r.Storm == nil {
		return nil
	}
	return r.Storm.Series
}

// ofAny is the only course that a run has: of a load, of a storm, or of
// connections that do nothing.
func ofAny(r *loadgen.Report) []loadgen.Second {
	switch {
	case r.Storm != nil:
		return ofStorm(r)
	case r.Load != nil:
		return underLoad(r)
	}
	return ofIdle(r)
}

// series is what is drawn of each second.
type series struct {
	name string
	of   func(loadgen.Second) float64
}

// positive has f's zeros left out: they say that there is no value.
func positive(f func(loadgen.Second) float64) func(loadgen.Second) float64 {
	return func(s loadgen.Second) float64 {
		if v := f(s); v != 0 {
			return v
		}
		return math.NaN()
	}
}

func overTime(title, unit string, runs []Run, views []runView, from courseOf, of []series) *chart {
	var lines []line
	end := 0.0
	for i, run := range runs {
		course := from(run.Report)
		if len(course) == 0 {
			continue
		}
		for k, s := range of {
			l := line{index: k, name: s.name}
			if len(runs) > 1 {
				l.index, l.name = views[i].Index, views[i].Name
			}
			for _, second := range course {
				if drawable(second.At) && second.At >= 0 {
					l.points = append(l.points, point{x: second.At, y: s.of(second)})
					end = max(end, second.At)
				}
			}
			lines = append(lines, l)
		}
	}
	x := scale{0, max(end, 1), left, right}
	c := draw(title, unit, lines, x, "s")
	if c != nil {
		c.Compared = len(runs) > 1
		c.X = x.ticks(6)
		for i := range c.X {
			c.X[i].Text += " s"
		}
		if warmup := warmupOf(runs, from); warmup > 0 {
			c.Warmup = coordinate(x.at(min(warmup, x.high)) - left)
		}
	}
	return c
}

// draw returns nil when there is nothing to draw.
func draw(title, unit string, lines []line, x scale, xUnit string) *chart {
	low, high, any := 0.0, 0.0, false
	for _, l := range lines {
		for _, p := range l.points {
			if drawable(p.y) {
				low, high, any = min(low, p.y), max(high, p.y), true
			}
		}
	}
	if !any {
		return nil
	}
	if high-low < 1e-6 { // all of them are zero
		high = low + 1
	}
	y := scale{low, high + (high-low)/20, bottom, top}
	c := &chart{Title: title, Unit: unit, Y: y.ticks(5)}
	for _, l := range lines {
		c.Curves = append(c.Curves, l.draw(x, y, unit, xUnit))
	}
	return c
}

// draw draws the line, which is broken where it has no value.
func (l line) draw(x, y scale, unit, xUnit string) curve {
	c := curve{Index: l.index, Name: l.name}
	var path strings.Builder
	joined := 0 // points in the piece being drawn
	lonely := false
	for _, p := range l.points {
		if !drawable(p.y) {
			lonely = lonely || joined == 1
			joined = 0
			continue
		}
		op := "L"
		if joined == 0 {
			op = "M"
		}
		joined++
		d := dot{X: x.place(p.x), Y: y.place(p.y), Value: loadgen.Decimal(p.y) + " " + unit}
		d.Text = d.Value
		switch {
		case p.label != "":
			d.Text = p.label + d.Text
		case xUnit != "":
			d.Text = loadgen.Decimal(p.x) + " " + xUnit + ": " + d.Text
		}
		path.WriteString(op + d.X + " " + d.Y)
		c.Points = append(c.Points, d)
	}
	c.Path = path.String()
	c.Marked = lonely || joined == 1 // a piece of one point has no line
	return c
}

// warmupOf returns the seconds of warm-up, if all runs of a chart have the same:
// those at the beginning without a latency. Without a load there is none.
func warmupOf(runs []Run, from courseOf) float64 {
	common := -1.0
	for _, run := range runs {
		course := from(run.Report)
		if len(course) == 0 {
			continue
		}
		end := 0.0
		for _, s := range course {
			if s.P50 != 0 || s.P99 != 0 || run.Report.Storm != nil || run.Report.Load == nil {
				break
			}
			end = s.At
		}
		if common >= 0 && math.Abs(common-end) > 0.5 || !drawable(end) {
			return 0
		}
		common = max(common, end)
	}
	return max(common, 0)
}

// scale maps values to places.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 { return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from) }

func (s scale) place(v float64) string { return coordinate(s.at(v)) }

func coordinate(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// ticks returns about n places at round values.
func (s scale) ticks(n int) []tick {
	step := round((s.high - s.low) / float64(n))
	var list []tick
	for k := math.Ceil(s.low / step); k*step <= s.high; k++ {
		list = append(list, tick{s.place(k * step), short(k*step, step)})
	}
	return list
}

// round returns the next number of 1, 2 or 5 and zeros.
func round(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// short writes the value of a tick.
func short(v, step float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(math.Round(v/unit.size*100)/100, 'f', -1, 64) + unit.name
		}
	}
	digits := max(0, int(math.Ceil(-math.Log10(step))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}
