package benchpage

import (
	"fmt"
	"math"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// mostRanges bounds how many ranges of a run are drawn, from the largest on.
const mostRanges = 64

// block is a column of a chart, with what it says when pointed at.
type block struct {
	Index               int // of its colour
	X, Y, Width, Height string
	Text                string
}

// got draws how many messages each client got, of the runs in which clients
// were away; nil when there is none.
func got(runs []Run, views []runView) *chart {
	low, high, most := math.Inf(1), 0.0, 0.0
	for _, run := range runs {
		for _, h := range rangesOf(run.Report) {
			low, high = min(low, float64(h.From)), max(high, float64(h.To)+1)
			most = max(most, float64(h.Clients))
		}
	}
	if most == 0 {
		return nil
	}
	x, y := scale{low, high, left, right}, scale{0, most * 1.05, bottom, top}
	c := &chart{Title: "Messages that each client got", Unit: "clients, by messages", Compared: len(runs) > 1, X: x.ticks(6), Y: y.ticks(5)}
	for i, run := range runs {
		for _, h := range rangesOf(run.Report) {
			from, to := x.at(float64(h.From)), x.at(float64(h.To)+1)
			b := block{
				Index: views[i].Index, X: coordinate(from), Y: y.place(float64(h.Clients)),
				Width: coordinate(max(1, to-from-1)), Height: coordinate(bottom - y.at(float64(h.Clients))),
				Text: fmt.Sprintf("%s to %s messages: %s clients", number(h.From), number(h.To), number(h.Clients)),
			}
			if c.Compared {
				b.Text = views[i].Name + ", " + b.Text
			}
			c.Blocks = append(c.Blocks, b)
		}
	}
	return c
}

// rangesOf are the ranges of a run that can be drawn.
func rangesOf(r *loadgen.Report) []loadgen.GotRange {
	var all []loadgen.GotRange
	switch {
	case r.Drops != nil:
		all = r.Drops.Histogram
	case r.Deploy != nil:
		all = r.Deploy.Histogram
	}
	var kept []loadgen.GotRange
	for _, h := range all[max(0, len(all)-mostRanges):] {
		if h.Clients > 0 && h.From >= 0 && h.To >= h.From && h.To < math.MaxInt32 {
			kept = append(kept, h)
		}
	}
	return kept
}
