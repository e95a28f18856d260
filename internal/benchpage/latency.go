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

// delay is a time that clients waited, of all runs that have it.
type delay struct {
	Title       string
	Percentiles *chart
	Ranks       []string
	Latencies   []latencies
}

// delays are those of messages, and those of clients that were away.
func delays(runs []Run, views []runView) []delay {
	var list []delay
	add := func(title string, of func(r *loadgen.Report) (loadgen.Latency, bool)) {
		if c, table := byRank(runs, views, of); c != nil {
			d := delay{Title: title, Percentiles: c, Latencies: table}
			for _, rank := range ranks {
				d.Ranks = append(d.Ranks, rank.name)
			}
			list = append(list, d)
		}
	}
	add("Latency", func(r *loadgen.Report) (l loadgen.Latency, ok bool) {
		if r.Load == nil || r.Load.Messages == 0 {
			return l, false
		}
		return r.Load.Latency, true
	})
	add("Time to return", func(r *loadgen.Report) (l loadgen.Latency, ok bool) {
		if r.Storm == nil || r.Storm.Back <= 0 {
			return l, false
		}
		return r.Storm.Return, true
	})
	add("Gap, from the loss of a connection until the client is back", func(r *loadgen.Report) (l loadgen.Latency, ok bool) {
		d, ok := deliveryOf(r)
		return d.gap, ok && d.returned > 0
	})
	add("Time to reconnect, of the attempt that succeeded", func(r *loadgen.Report) (l loadgen.Latency, ok bool) {
		if r.Deploy == nil || r.Deploy.Returned <= 0 {
			return l, false
		}
		return r.Deploy.Reconnect, true
	})
	return list
}

// byRank returns the latencies of the runs that have some, drawn and written.
// The chart is nil when there are none.
func byRank(runs []Run, views []runView, of func(*loadgen.Report) (loadgen.Latency, bool)) (*chart, []latencies) {
	var lines []line
	var table []latencies
	for i, run := range runs {
		latency, ok := of(run.Report)
		if !ok {
			continue
		}
		l := line{index: views[i].Index, name: views[i].Name}
		row := latencies{Index: views[i].Index, Name: views[i].Name}
		for at, rank := range ranks {
			v := rank.of(latency)
			if at > 0 {
				l.points = append(l.points, point{x: float64(at), y: v})
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
