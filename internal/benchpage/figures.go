package benchpage

import (
	"fmt"
	"math"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// figure is a number that a run is judged by.
type figure struct {
	name, unit string
	of         func(r *loadgen.Report) (v float64, ok bool)
}

var figures = []figure{
	{"throughput", "/s", ofLoad(func(l *loadgen.Load) float64 { return l.PerSecond })},
	{"latency p50", "ms", ofLoad(func(l *loadgen.Load) float64 { return l.Latency.P50 })},
	{"latency p99", "ms", ofLoad(func(l *loadgen.Load) float64 { return l.Latency.P99 })},
	{"server CPU per message", "µs", func(r *loadgen.Report) (float64, bool) {
		if r.Load == nil || r.Load.Server == nil {
			return 0, false
		}
		return r.Load.Server.PerMessageMicros, true
	}},
	{"delivered", "%", ofDelivery(func(d delivery) (float64, bool) { return d.percent, d.expected > 0 })},
	{"worst client got", "%", ofDelivery(func(d delivery) (float64, bool) { return d.worst, d.expected > 0 })},
	{"gap p50", "ms", ofDelivery(func(d delivery) (float64, bool) { return d.gap.P50, d.returned > 0 })},
	{"gap p99", "ms", ofDelivery(func(d delivery) (float64, bool) { return d.gap.P99, d.returned > 0 })},
	{"time to reconnect p50", "ms", ofReconnect(func(l loadgen.Latency) float64 { return l.P50 })},
	{"time to reconnect p99", "ms", ofReconnect(func(l loadgen.Latency) float64 { return l.P99 })},
	{"all back after", "s", ofReturns(func(s *loadgen.Reconnection) (float64, bool) { return s.Seconds, s.Back >= s.Conns })},
	{"time to return p50", "ms", ofReturns(func(s *loadgen.Reconnection) (float64, bool) { return s.Return.P50, s.Back > 0 })},
	{"time to return p99", "ms", ofReturns(func(s *loadgen.Reconnection) (float64, bool) { return s.Return.P99, s.Back > 0 })},
	{"server CPU per return", "µs", ofReturns(func(s *loadgen.Reconnection) (float64, bool) {
		if s.Server == nil {
			return 0, false
		}
		return s.Server.PerMessageMicros, s.Back > 0
	})},
	{"peak memory", "MiB", ofReturns(func(s *loadgen.Reconnection) (float64, bool) { return float64(s.PeakKiB) / 1024, s.PeakKiB > 0 })},
	{"memory per connection", "KiB", func(r *loadgen.Report) (float64, bool) {
		if r.Memory == nil {
			return 0, false
		}
		return r.Memory.PerConnectionKiB, r.Memory.PerConnectionKiB > 0 // else of a server that had served before
	}},
	{"connections accepted", "/s", func(r *loadgen.Report) (float64, bool) { return r.Accept.PerSecond, true }},
}

func ofLoad(f func(*loadgen.Load) float64) func(*loadgen.Report) (float64, bool) {
	return func(r *loadgen.Report) (float64, bool) {
		if r.Load == nil {
			return 0, false
		}
		return f(r.Load), true
	}
}

// delivery is how clients fared that were away at times.
type delivery struct {
	expected       uint64
	percent, worst float64 // that was delivered, to all and to the worst client
	returned       int
	gap            loadgen.Latency // from the loss of a connection until it was back
}

// deliveryOf returns nothing when nobody was away.
func deliveryOf(r *loadgen.Report) (d delivery, ok bool) {
	switch {
	case r.Drops != nil:
		d = delivery{expected: r.Drops.Expected, percent: r.Drops.Percent, returned: r.Drops.Returned, gap: r.Drops.Return}
		d.worst = 100 * float64(r.Drops.Min) / float64(max(1, r.Drops.Messages))
	case r.Deploy != nil:
		d = delivery{
			expected: r.Deploy.Expected, percent: r.Deploy.Percent, worst: r.Deploy.Worst,
			returned: r.Deploy.Returned, gap: r.Deploy.Gap,
		}
	default:
		return d, false
	}
	return d, true
}

func ofDelivery(f func(delivery) (float64, bool)) func(*loadgen.Report) (float64, bool) {
	return func(r *loadgen.Report) (float64, bool) {
		d, ok := deliveryOf(r)
		if !ok {
			return 0, false
		}
		return f(d)
	}
}

func ofReconnect(f func(loadgen.Latency) float64) func(*loadgen.Report) (float64, bool) {
	return func(r *loadgen.Report) (float64, bool) {
		if r.Deploy == nil || r.Deploy.Returned <= 0 {
			return 0, false
		}
		return f(r.Deploy.Reconnect), true
	}
}

func ofReturns(f func(*loadgen.Reconnection) (float64, bool)) func(*loadgen.Report) (float64, bool) {
	return func(r *loadgen.Report) (float64, bool) {
		if r.Storm == nil {
			return 0, false
		}
		return f(r.Storm)
	}
}

// tiles are the figures of one run.
func tiles(r *loadgen.Report) []tile {
	var list []tile
	for _, f := range figures {
		if v, ok := f.of(r); ok && drawable(v) {
			list = append(list, tile{f.name, loadgen.Decimal(v), f.unit})
		}
	}
	return list
}

// barChart compares one figure of several runs.
type barChart struct {
	Name, Unit string
	Bars       []bar
}

type bar struct {
	Index int // of the run's colour
	Name  string
	Value string
	Width string // of 100
}

// bars compares the figures that at least two runs have.
func bars(runs []Run, views []runView) []barChart {
	var list []barChart
	for _, f := range figures {
		c := barChart{Name: f.name, Unit: f.unit}
		var most float64
		for _, run := range runs {
			if v, ok := f.of(run.Report); ok && drawable(v) {
				most = max(most, v)
			}
		}
		for i, run := range runs {
			v, ok := f.of(run.Report)
			if !ok || !drawable(v) {
				continue
			}
			width := 0.0
			if most > 0 {
				width = 100 * max(v, 0) / most
			}
			c.Bars = append(c.Bars, bar{views[i].Index, views[i].Name, loadgen.Decimal(v), coordinate(width)})
		}
		if len(c.Bars) > 1 {
			list = append(list, c)
		}
	}
	return list
}

// number writes a whole number with commas.
func number[T int | uint64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// drawable reports whether v has a place on a scale.
func drawable(v float64) bool { return math.Abs(v) <= 1e15 } // and is a number

// decimal writes a number, if it is one.
func decimal(v float64) string {
	if !drawable(v) {
		return "–"
	}
	return loadgen.Decimal(v)
}
