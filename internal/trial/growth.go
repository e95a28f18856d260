package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

const (
	// besideKiB is what a connection takes beside the servers' memory: both
	// ends of it in the kernel, and its part of the load generator.
	besideKiB = 8
	// telling is how many connections say what more of them take. With fewer,
	// most of the servers' growth is garbage.
	telling = 1000
)

// GrowthReport is how the cost of a delivery grows. Its JSON form is stable.
type GrowthReport struct {
	Origin  *loadgen.Origin  `json:"origin,omitempty"`
	Machine capacity.Machine `json:"machine"`
	Nodes   Curve            `json:"nodes"`       // over the number of nodes
	Conns   Curve            `json:"connections"` // over the number of connections, all on as many nodes
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
	Conns []int // numbers of connections, on KeepNodes nodes
	// KeepNodes is the number of nodes of the second curve, the same for all of
	// its points, so that they differ in their connections only. 0: the fewest
	// that may open files for the most connections.
	KeepNodes int
	// KeepConns, Room and Rate are the load that is kept.
	KeepConns, Room int
	Rate            float64
}

// keptNodes is the number of nodes of the second curve.
func (o *GrowthOptions) keptNodes(m capacity.Machine, polling float64) int {
	if o.KeepNodes > 0 || len(o.Conns) == 0 {
		return o.KeepNodes
	}
	return min(m.Nodes(capacity.Load{Conns: slices.Max(o.Conns), Polling: polling}.Sockets()), fleet.MaxNodes)
}

// Grow measures both curves. A limit, or a run that fails behind others, ends a
// curve, not the whole.
func Grow(ctx context.Context, s Setup, o GrowthOptions) (*GrowthReport, error) {
	s = s.withDefaults()
	machine, err := ThisMachine()
	if err != nil {
		return nil, err
	}
	g := &GrowthReport{Machine: machine}
	var nodes, conns []capacity.Load
	for _, n := range o.Nodes {
		nodes = append(nodes, capacity.Load{Nodes: n, Conns: o.KeepConns, Room: o.Room, Deliveries: o.Rate, Polling: s.Polling})
	}
	kept := o.keptNodes(machine, s.Polling)
	for _, n := range o.Conns {
		conns = append(conns, capacity.Load{Nodes: kept, Conns: n, Room: o.Room, Deliveries: o.Rate, Polling: s.Polling})
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
		if c.Stopped = c.beyond(l, freeMemory()); c.Stopped != "" {
			s.say("%s", c.Stopped)
			return c, nil
		}
		report, err := s.Run(ctx, l)
		var files *loadgen.FileLimitError
		switch {
		case errors.As(err, &files):
			c.stop(err)
			s.say("%s", c.Stopped)
			return c, s.last(ctx, &c, l, files)
		case err != nil && (ctx.Err() != nil || i == 0):
			return c, err
		case err != nil:
			c.stop(err)
			s.say("%s", c.Stopped)
			return c, nil
		}
		c.add(l, report)
	}
	return c, nil
}

func (c *Curve) stop(why error) {
	if c.Stopped != "" {
		c.Stopped += "; "
	}
	c.Stopped += strings.TrimPrefix(why.Error(), "socketeer: ")
}

// beyond says why a load is not run when it would take more than the free
// memory, going by what the run before took.
func (c *Curve) beyond(l capacity.Load, freeKiB float64) string {
	if len(c.Points) == 0 || c.Points[len(c.Points)-1].Conns < telling {
		return ""
	}
	before := c.Points[len(c.Points)-1]
	m := before.Report.Memory
	need := float64(m.BeforeKiB)*float64(l.Nodes)/float64(before.Nodes) +
		(float64(m.AfterKiB-m.BeforeKiB)/float64(before.Conns)+besideKiB)*float64(l.Conns)
	if need <= freeKiB {
		return ""
	}
	const gib = 1 << 20
	return fmt.Sprintf("memory stops this: %s connections on %d server(s) would take %.1f GiB and %.1f are free",
		loadgen.Count(float64(l.Conns)), l.Nodes, need/gib, freeKiB/gib)
}

func (c *Curve) add(l capacity.Load, r *loadgen.Report) {
	c.Points = append(c.Points, Point{Load: l, DeliveryMicros: r.Load.Server.PerMessageMicros, Report: r})
}

// last adds a run with as many connections as the servers may have open files
// for, when l had too many and that is more than the runs before had. A limit
// of one of several processes of the load generator is no limit of a run.
func (s Setup) last(ctx context.Context, c *Curve, l capacity.Load, limit *loadgen.FileLimitError) error {
	if limit.Conns != l.Conns {
		return nil
	}
	fit := int(limit.Have) - int(limit.Need) + l.Conns
	fit -= fit % l.Room
	if n := len(c.Points); fit < l.Room || n > 0 && fit <= c.Points[n-1].Conns {
		return nil
	}
	l.Conns = fit
	s.say("the most that fits: %s", title(l))
	report, err := s.Run(ctx, l)
	switch {
	case err == nil:
		c.add(l, report)
	case ctx.Err() != nil:
		return err
	default:
		c.stop(err)
	}
	return nil
}

var pointColumns = []string{
	"nodes", "connections", "deliveries/s", "server CPU per delivery", "against the first", "server cores", "KiB a connection", "p99", "missing", "other processes",
}

// cells are the curve's points, for people.
func (c *Curve) cells() (rows [][]string) {
	for _, p := range c.Points {
		l := p.Report.Load
		rows = append(rows, []string{
			fmt.Sprint(p.Nodes), loadgen.Count(float64(p.Conns)), loadgen.Count(l.PerSecond), loadgen.Decimal(p.DeliveryMicros) + " us",
			fmt.Sprintf("%.2f", p.DeliveryMicros/c.Points[0].DeliveryMicros), fmt.Sprintf("%.2f", l.Server.Cores),
			loadgen.Decimal(p.Report.Memory.PerConnectionKiB), loadgen.Decimal(l.Latency.P99) + " ms",
			loadgen.Count(float64(l.Missing)), fmt.Sprintf("%.2f cores", l.OtherCores),
		})
	}
	return rows
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
		fmt.Fprintln(t, strings.Join(pointColumns, "\t"))
		for _, row := range c.cells() {
			fmt.Fprintln(t, strings.Join(row, "\t"))
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
