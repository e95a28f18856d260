package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// GrowthReport is how the cost of a delivery grows. Its JSON form is stable.
type GrowthReport struct {
	Machine capacity.Machine `json:"machine"`
	Nodes   Curve            `json:"nodes"`       // over the number of nodes
	Conns   Curve            `json:"connections"` // over the number of connections, on one node
}

// Curve is a row of runs that differ in one number.
type Curve struct {
	Points  []Point `json:"points"`
	Stopped string  `json:"stopped,omitempty"` // why it ends before it was to
}

// Point is one run of a curve.
type Point struct {
	capacity.Load
	DeliveryMicros float64         `json:"server_cpu_us_per_delivery"`
	Report         *loadgen.Report `json:"report"`
}

// GrowthOptions say what to vary, and what to keep.
type GrowthOptions struct {
	Nodes []int // numbers of nodes, with KeepConns connections
	Conns []int // numbers of connections, on one node
	// KeepConns, Room and Rate are the load that is kept.
	KeepConns, Room int
	Rate            float64
}

// Grow measures both curves. A limit ends a curve, not the whole.
func Grow(ctx context.Context, s Setup, o GrowthOptions) (*GrowthReport, error) {
	s = s.withDefaults()
	machine, err := ThisMachine()
	if err != nil {
		return nil, err
	}
	g := &GrowthReport{Machine: machine}
	var nodes, conns []capacity.Load
	for _, n := range o.Nodes {
		nodes = append(nodes, capacity.Load{Nodes: n, Conns: o.KeepConns, Room: o.Room, Deliveries: o.Rate})
	}
	for _, n := range o.Conns {
		conns = append(conns, capacity.Load{Nodes: 1, Conns: n, Room: o.Room, Deliveries: o.Rate})
	}
	if g.Nodes, err = s.curve(ctx, "nodes", nodes); err != nil {
		return nil, err
	}
	if g.Conns, err = s.curve(ctx, "connections", conns); err != nil {
		return nil, err
	}
	return g, nil
}

func (s Setup) curve(ctx context.Context, name string, loads []capacity.Load) (Curve, error) {
	var c Curve
	for i, l := range loads {
		s.say("growth over %s, run %d of %d: %s", name, i+1, len(loads), title(l))
		report, err := s.Run(ctx, l)
		var files *loadgen.FileLimitError
		switch {
		case errors.As(err, &files):
			c.Stopped = strings.TrimPrefix(err.Error(), "socketeer: ")
			s.say("%s", c.Stopped)
			return c, s.last(ctx, &c, l, files)
		case err != nil:
			return c, err
		}
		c.add(l, report)
	}
	return c, nil
}

func (c *Curve) add(l capacity.Load, r *loadgen.Report) {
	c.Points = append(c.Points, Point{Load: l, DeliveryMicros: r.Load.Server.PerMessageMicros, Report: r})
}

// last adds a run with as many connections as the servers may have open files
// for, when l had too many and that is more than the runs before had.
func (s Setup) last(ctx context.Context, c *Curve, l capacity.Load, limit *loadgen.FileLimitError) error {
	fit := int(limit.Have) - int(limit.Need) + l.Conns
	fit -= fit % l.Room
	if n := len(c.Points); fit < l.Room || n > 0 && fit <= c.Points[n-1].Conns {
		return nil
	}
	l.Conns = fit
	s.say("the most that fits: %s", title(l))
	report, err := s.Run(ctx, l)
	if err == nil {
		c.add(l, report)
	}
	return err
}

// WriteTable writes the curves for people.
func (g *GrowthReport) WriteTable(w io.Writer) error {
	for i, c := range []Curve{g.Nodes, g.Conns} {
		if len(c.Points) == 0 && c.Stopped == "" {
			continue
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "nodes\tconnections\tdeliveries/s\tserver CPU per delivery\tagainst the first\tserver cores\tKiB a connection\tp99\tmissing\tother processes")
		for _, p := range c.Points {
			l := p.Report.Load
			fmt.Fprintf(t, "%d\t%s\t%s\t%s us\t%.2f\t%.2f\t%s\t%s ms\t%s\t%.2f cores\n",
				p.Nodes, loadgen.Count(float64(p.Conns)), loadgen.Count(l.PerSecond), loadgen.Decimal(p.DeliveryMicros),
				p.DeliveryMicros/c.Points[0].DeliveryMicros, l.Server.Cores, loadgen.Decimal(p.Report.Memory.PerConnectionKiB),
				loadgen.Decimal(l.Latency.P99), loadgen.Count(float64(l.Missing)), l.OtherCores)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if c.Stopped != "" {
			fmt.Fprintf(w, "stopped: %s\n", c.Stopped)
		}
	}
	return nil
}
