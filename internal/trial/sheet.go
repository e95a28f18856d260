package trial

import (
	"fmt"
	"strings"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// Sheet returns the curves for a page: what a delivery costs, how late it is
// and what a connection takes, over nodes and over connections.
func (g *GrowthReport) Sheet() benchpage.Sheet {
	s := benchpage.Sheet{Title: "How the cost of a delivery grows", Origin: g.Origin}
	for _, c := range []struct {
		over  string
		curve Curve
		at    func(capacity.Load) int
	}{
		{"nodes", g.Nodes, func(l capacity.Load) int { return l.Nodes }},
		{"connections", g.Conns, func(l capacity.Load) int { return l.Conns }},
	} {
		if c.curve.Stopped != "" {
			s.Notes = append(s.Notes, fmt.Sprintf("The curve over %s ends: %s.", c.over, c.curve.Stopped))
		}
		if len(c.curve.Points) == 0 {
			continue
		}
		for _, v := range []struct {
			title, unit string
			of          func(Point) float64
		}{
			{"Server CPU per delivery", "µs", func(p Point) float64 { return p.DeliveryMicros }},
			{"Latency p99", "ms", func(p Point) float64 { return p.Report.Load.Latency.P99 }},
			{"Memory per connection", "KiB", func(p Point) float64 { return p.Report.Memory.PerConnectionKiB }},
		} {
			var l benchpage.Line
			for _, p := range c.curve.Points {
				l.Points = append(l.Points, benchpage.Point{X: float64(c.at(p.Load)), Y: v.of(p)})
			}
			s.Curves = append(s.Curves, benchpage.Curve{Title: v.title, Unit: v.unit, Over: c.over, Log: true, Lines: []benchpage.Line{l}})
		}
		s.Tables = append(s.Tables, benchpage.Table{Title: "Over " + c.over + ": " + c.curve.kept(), Columns: pointColumns, Rows: c.curve.cells()})
		s.Notes = append(s.Notes, c.curve.doubts(c.over)...)
	}
	return s
}

// kept says what all points of a curve have, of which there is one at least.
func (c *Curve) kept() string {
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	s := fmt.Sprintf("%s deliveries/s in rooms of %d%s", loadgen.Count(first.Deliveries), first.Room, polling(", %s on polling", first.Polling))
	if first.Conns == last.Conns {
		return loadgen.Count(float64(first.Conns)) + " connections, " + s
	}
	return fmt.Sprintf("%d server(s), %s", first.Nodes, s)
}

// doubts says why a curve is not to be trusted altogether.
func (c *Curve) doubts(over string) (notes []string) {
	missing, others := uint64(0), 0.0
	for _, p := range c.Points {
		missing += p.Report.Load.Missing
		others = max(others, p.Report.Load.OtherCores)
	}
	if missing > 0 {
		notes = append(notes, fmt.Sprintf("%s deliveries are missing in the runs over %s.", loadgen.Count(float64(missing)), over))
	}
	if others >= 0.1 {
		notes = append(notes, fmt.Sprintf("Other processes took up to %.1f cores meanwhile in the runs over %s.", others, over))
	}
	return notes
}

// Sheet returns the rows for a page, with the model they are held to, and the
// runs one by one.
func (t *TableReport) Sheet() benchpage.Sheet {
	rows := benchpage.Table{Title: "Rows", Columns: columns}
	s := benchpage.Sheet{Title: "The table by which the field compares", Origin: t.Origin, Notes: []string{t.notes()}}
	for i := range t.Rows {
		r := &t.Rows[i]
		rows.Rows = append(rows.Rows, r.cells())
		if r.Report != nil {
			s.Runs = append(s.Runs, benchpage.Run{Name: fmt.Sprintf("row %d", r.Number), Report: r.Report})
		}
	}
	s.Tables = append(s.Tables, rows)
	if t.Model != nil {
		s.Tables = append(s.Tables, t.Model.tables()...)
	}
	return s
}

// Sheet returns the model for a page: what it says for each run, beside what
// was measured.
func (r *ModelReport) Sheet() benchpage.Sheet {
	cores, memory := [2]benchpage.Line{{Name: "measured"}, {Name: "predicted"}}, [2]benchpage.Line{{Name: "measured"}, {Name: "predicted"}}
	add := func(lines *[2]benchpage.Line, n int, measured, predicted float64) {
		for i, v := range []float64{measured, predicted} {
			lines[i].Points = append(lines[i].Points, benchpage.Point{X: float64(n), Y: v})
		}
	}
	all := append(append([]capacity.Residual{}, r.Runs...), r.Check)
	for i, run := range all {
		add(&cores, i+1, run.ServerCores, run.Predicted.ServerCores)
		add(&memory, i+1, run.MemoryKiB/1024, run.Predicted.MemoryKiB/1024)
	}
	s := benchpage.Sheet{
		Title:  "What loads cost: a capacity model",
		Origin: r.Origin,
		Tables: r.tables(),
		Curves: []benchpage.Curve{
			{Title: "CPU of the servers", Unit: "cores", Over: "runs", Lines: cores[:]},
			{Title: "Memory of the servers", Unit: "MiB", Over: "runs", Lines: memory[:]},
		},
		Notes: []string{fmt.Sprintf("The last of %d runs is the one that the model was not fitted on: it was off by %+.0f %% of the cores there, and by %+.0f %% of the memory.",
			len(all), 100*r.Check.ServerError(), 100*r.Check.MemoryError())},
	}
	return s
}

// tables are the model's, and that of its residuals.
func (r *ModelReport) tables() []benchpage.Table {
	return []benchpage.Table{
		{Title: "The capacity model: measured and predicted", Columns: residualColumns, Rows: r.residuals()},
		{Title: "Its coefficients", Columns: []string{"coefficient", "value", "of what"}, Rows: coefficients(&r.Model)},
		{Title: "Its formula", Columns: []string{"of a load"}, Rows: formula(r.Formula)},
	}
}

// formula is one with a row for each of its lines.
func formula(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "+") && len(rows) > 0 {
			rows[len(rows)-1][0] += " " + line
			continue
		}
		rows = append(rows, []string{line})
	}
	return rows
}
