package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// Row is a line of the table by which the field compares: a load, and the 99th
// percentile of latency it shall have.
type Row struct {
	capacity.Load
	TargetP99 float64 `json:"target_p99_ms"`
}

// Rows are the table's, from the smallest on.
func Rows() []Row {
	return []Row{
		{capacity.Load{Nodes: 1, Conns: 10_000, Room: 100, Deliveries: 50_000}, 15},
		{capacity.Load{Nodes: 3, Conns: 50_000, Room: 100, Deliveries: 150_000}, 25},
		{capacity.Load{Nodes: 5, Conns: 100_000, Room: 100, Deliveries: 300_000}, 40},
		{capacity.Load{Nodes: 20, Conns: 500_000, Room: 100, Deliveries: 1_000_000}, 80},
	}
}

// TableReport is what became of rows. Its JSON form is stable.
type TableReport struct {
	Origin  *loadgen.Origin  `json:"origin,omitempty"`
	Machine capacity.Machine `json:"machine"`
	Adapter string           `json:"adapter,omitempty"`  // that joined the servers
	Polling float64          `json:"polling,omitempty"`  // share of the connections on HTTP long-polling
	Model   *ModelReport     `json:"model,omitempty"`    // that scales and needs are from
	NoModel string           `json:"no_model,omitempty"` // why one that was wanted is not there
	Rows    []RowReport      `json:"rows"`
}

// RowReport is what became of a row.
type RowReport struct {
	Row
	Number int             `json:"row"`   // from 1
	Scale  float64         `json:"scale"` // of the row that was run; 1: all of it
	Run    capacity.Load   `json:"run"`
	Report *loadgen.Report `json:"report,omitempty"`
	Limit  string          `json:"limit"`          // what kept it from more
	Need   *capacity.Need  `json:"need,omitempty"` // of the whole row, by the model
	// Check is what the run took, beside what the model says for it.
	Check *capacity.Residual `json:"check,omitempty"`
	Error string             `json:"error,omitempty"`
}

// Met tells whether nothing was missing and the target was reached, at the
// scale of the run.
func (r *RowReport) Met() bool {
	if r.Report == nil {
		return false
	}
	l := r.Report.Load
	return l.Latency.P99 <= r.TargetP99 && l.Missing == 0 && l.Missed == 0 && r.Report.Lost == 0
}

// whole tells whether all of the row was run, and well.
func (r *RowReport) whole() bool { return r.Scale >= 1 && r.Met() && r.Limit == noLimit }

// TableOptions say which rows to run and how.
type TableOptions struct {
	Rows []int // numbers, from 1
	// Scale is the fraction of each row's connections and rate to run; 0: as
	// much as fits the machine, by the model.
	Scale float64
	// Model is one that was fitted before; nil: a quick one is fitted, before
	// the rows when they may be run scaled, or behind them when one did not run
	// in full, or not well.
	Model *ModelReport
}

// RunTable runs rows of the field's table, one after another.
func RunTable(ctx context.Context, s Setup, o TableOptions) (*TableReport, error) {
	s = s.withDefaults()
	machine, err := ThisMachine()
	if err != nil {
		return nil, err
	}
	t := &TableReport{Machine: machine, Adapter: s.adapter(), Polling: s.Polling, Model: o.Model}
	if m := o.Model; m != nil && m.Adapter != t.Adapter && m.Adapter != "" && t.Adapter != "" {
		return nil, fmt.Errorf("socketeer: the capacity model is of servers joined by %s, not %s: make one for these", m.Adapter, t.Adapter)
	}
	if m := o.Model; m != nil && m.Check.Polling != s.Polling {
		return nil, fmt.Errorf("socketeer: the capacity model is of loads with %g %% of the connections on polling, not %g %%: make one for these",
			100*m.Check.Polling, 100*s.Polling)
	}
	if t.Model == nil && o.Scale != 1 {
		if t.Model, err = quickModel(ctx, s); err != nil {
			return nil, err
		}
	}
	for _, n := range o.Rows {
		r := t.plan(n, o.Scale)
		s.say("row %d: %s", n, title(r.Run))
		r.Report, err = s.Run(ctx, r.Run)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var files *loadgen.FileLimitError
		switch {
		case errors.As(err, &files):
			r.Limit = "file limit: " + strings.TrimPrefix(err.Error(), "socketeer: ")
			r.Error = err.Error()
		case err != nil:
			r.Error = err.Error()
		default:
			r.Limit = limit(r.Limit, r.Report, machine)
		}
		t.Rows = append(t.Rows, r)
	}
	if t.Model == nil && slices.ContainsFunc(t.Rows, func(r RowReport) bool { return !r.whole() }) {
		t.Model, err = quickModel(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil: // what was measured is none the worse for it
			t.NoModel = strings.TrimPrefix(err.Error(), "socketeer: ")
		}
	}
	t.predict()
	return t, nil
}

// quickest is how long a run for a quick model is measured, at least.
const quickest = time.Second

// quickModel fits a model that is only needed on the way.
func quickModel(ctx context.Context, s Setup) (*ModelReport, error) {
	s.say("fitting a quick capacity model, for what a row needs (bench model --json makes one to keep, for --model)")
	return FitModel(ctx, quick(s), 1)
}

// quick shortens a setup's runs.
func quick(s Setup) Setup {
	s.Duration, s.Warmup = max(quickest, min(s.Duration, 2*s.Warmup)), min(s.Warmup, s.Duration)
	return s
}

// predict adds what the model says of the rows.
func (t *TableReport) predict() {
	if t.Model == nil {
		return
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		need := t.Model.Model.Predict(r.Load)
		r.Need = &need
		if r.Report == nil {
			continue
		}
		if run := Measured(r.Run, r.Report); run.Unmeasured() == "" {
			check := t.Model.Model.Check(run)
			r.Check = &check
		}
	}
}

// Failed returns an error that says which rows failed, and why; nil when all
// were run.
func (t *TableReport) Failed() error {
	var failed []string
	for _, r := range t.Rows {
		if r.Error != "" {
			failed = append(failed, fmt.Sprintf("row %d failed: %s", r.Number, strings.TrimPrefix(r.Error, "socketeer: ")))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return errors.New("socketeer: " + strings.Join(failed, "; "))
}

// noLimit is what limited a row of which nothing was lacking.
const noLimit = "nothing"

// plan decides how much of a row is run.
func (t *TableReport) plan(number int, scale float64) RowReport {
	row := Rows()[number-1]
	row.Polling = t.Polling
	r := RowReport{Row: row, Number: number, Scale: scale, Limit: noLimit}
	switch {
	case scale == 0:
		r.Scale, r.Limit = t.Model.Model.Fit(row.Load, t.Machine)
	case scale < 1:
		r.Limit = "the scale asked for"
	}
	if r.Run = row.Load; r.Scale < 1 {
		r.Run = row.Scaled(r.Scale)
		r.Scale = float64(r.Run.Conns) / float64(row.Conns)
	}
	return r
}

// limit says what limited a run, given why there was not more of it.
func limit(planned string, r *loadgen.Report, machine capacity.Machine) string {
	l := r.Load
	busy := l.Generator.Cores + l.OtherCores
	if l.Server != nil {
		busy += l.Server.Cores
	}
	var found []string
	if planned != noLimit {
		found = append(found, planned)
	}
	if busy > 0.9*machine.Cores {
		found = append(found, fmt.Sprintf("CPU of the machine: %.2f of %.0f cores were busy", busy, machine.Cores))
	}
	if l.Missed > 0 {
		found = append(found, fmt.Sprintf("the load generator: %s sends missed", loadgen.Count(float64(l.Missed))))
	}
	if len(found) == 0 {
		return noLimit
	}
	return strings.Join(found, "; ")
}

var columns = []string{"Connections", "Servers", "Messages/sec", "p99 target", "p99", "Missing", "CPU per message", "Server cores, predicted / measured", "Limited by", "The whole row needs"}

// cells are the row's, for people.
func (r *RowReport) cells() []string {
	of := func(part, whole float64) string {
		if r.Scale >= 1 {
			return loadgen.Count(whole)
		}
		return fmt.Sprintf("%s of %s", loadgen.Count(part), loadgen.Count(whole))
	}
	conns := of(float64(r.Run.Conns), float64(r.Conns))
	if r.Scale < 1 {
		conns += fmt.Sprintf(" (scaled by %s)", loadgen.Decimal(r.Scale))
	}
	cells := []string{conns, fmt.Sprint(r.Nodes), of(r.Run.Deliveries, r.Deliveries), fmt.Sprintf("%g ms", r.TargetP99), "-", "-", "-", "-", r.Limit, "-"}
	if r.Error != "" && r.Limit == noLimit {
		cells[8] = "failed: " + strings.TrimPrefix(r.Error, "socketeer: ")
	}
	if r.Report != nil {
		l := r.Report.Load
		if r.Scale < 1 {
			cells[2] = of(l.PerSecond, r.Deliveries)
		} else {
			cells[2] = loadgen.Count(l.PerSecond)
		}
		verdict := "missed"
		if r.Met() {
			verdict = "met"
		}
		cells[4] = fmt.Sprintf("%s ms (%s)", loadgen.Decimal(l.Latency.P99), verdict)
		cells[5] = loadgen.Count(float64(l.Missing))
		if l.Server != nil {
			cells[6] = fmt.Sprintf("%s us", loadgen.Decimal(l.Server.PerMessageMicros))
		}
	}
	if c := r.Check; c != nil {
		cells[7] = fmt.Sprintf("%.2f / %.2f (%+.0f %%)", c.Predicted.ServerCores, c.ServerCores, 100*c.ServerError())
	}
	if r.Need != nil {
		cells[9] = fmt.Sprintf("servers %.1f cores, %.1f GiB; generator %.1f cores",
			r.Need.ServerCores, r.Need.MemoryKiB/(1<<20), math.Max(r.Need.GeneratorCores, 0.1))
	}
	return cells
}

// WriteTable writes the table for a terminal.
func (t *TableReport) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(columns, "\t"))
	for i := range t.Rows {
		fmt.Fprintln(tw, strings.Join(t.Rows[i].cells(), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, t.notes())
	return err
}

// WriteMarkdown writes the table for a document.
func (t *TableReport) WriteMarkdown(w io.Writer) error {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for i := range t.Rows {
		cells := t.Rows[i].cells()
		for k := range cells {
			cells[k] = strings.ReplaceAll(cells[k], "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", t.notes())
	return err
}

// notes say what the figures are.
func (t *TableReport) notes() string {
	s := fmt.Sprintf("Servers and load generator together on %.0f cores; messages are deliveries to members of rooms of 100.", t.Machine.Cores)
	if t.Adapter != "" {
		s += fmt.Sprintf(" Several servers were joined by %s.", t.Adapter)
	}
	s += polling(" %s of the connections were on HTTP long-polling.", t.Polling)
	other := 0.0
	for _, r := range t.Rows {
		if r.Report != nil {
			other = max(other, r.Report.Load.OtherCores)
		}
	}
	if other >= 0.1 {
		s += fmt.Sprintf(" Other processes took up to %.1f cores meanwhile: latencies would be better without.", other)
	}
	if t.Model != nil {
		s += fmt.Sprintf(" What a run was to take, and what a row needs, is the capacity model's, which was off by %+.0f %% for a run it was not fitted on.", 100*t.Model.Check.ServerError())
	}
	if t.NoModel != "" {
		s += " What a row needs is not known, for there is no capacity model: " + t.NoModel + "."
	}
	return s
}
