package benchpage

import "github.com/socketeer-io/socketeer/internal/loadgen"

// ranks are what is told of the latencies of a run. From the second on they are
// drawn.
var ranks = []struct {
	name string
	of   func(loadgen.Latency) float64
}{
	{"mean", func(l loadgen.Latency) float64 { return l.Mean }},
	{"p50", func(l loadgen.Latency) float64 { return l.P50 }},
	{"p90", func(l loadgen.Latency) float64 { return l.P90 }},
	{"p99", func(l loadgen.Latency) float64 { return l.P99 }},
	{"p99.9", func(l loadgen.Latency) float64 { return l.P999 }},
	{"max", func(l loadgen.Latency) float64 { return l.Max }},
}

// latencies are those of a run, by rank.
type latencies struct {
	Index  int // of the run's colour
	Name   string
	Values []string
}

// byRank returns the latencies of the runs that have some, drawn and written.
// The chart is nil when there are none.
func byRank(runs []Run, views []runView) (*chart, []latencies) {
	var lines []line
	var table []latencies
	for i, run := range runs {
		if run.Report.Load == nil || run.Report.Load.Messages == 0 {
			continue
		}
		l := line{index: views[i].Index, name: views[i].Name}
		row := latencies{Index: views[i].Index, Name: views[i].Name}
		for at, rank := range ranks {
			v := rank.of(run.Report.Load.Latency)
			if at > 0 {
				l.points = append(l.points, point{float64(at), v})
			}
			row.Values = append(row.Values, decimal(v))
		}
		lines, table = append(lines, l), append(table, row)
	}
	x := scale{0.6, float64(len(ranks)) - 0.6, left, right}
	c := draw("By percentile", "ms", lines, x, "")
	if c == nil {
		return nil, nil
	}
	for at, rank := range ranks[1:] {
		c.X = append(c.X, tick{x.place(float64(at + 1)), rank.name})
	}
	for i := range c.Curves {
		c.Curves[i].Marked = true
	}
	c.Compared, c.Labelled = len(runs) > 1, len(runs) == 1
	return c, table
}
