package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// ModelReport is a capacity model and what it was fitted to. Its JSON form is
// stable.
type ModelReport struct {
	Origin  *loadgen.Origin     `json:"origin,omitempty"`
	Machine capacity.Machine    `json:"machine"`
	Adapter string              `json:"adapter,omitempty"` // that joined the servers
	Formula string              `json:"formula"`
	Model   capacity.Model      `json:"model"`
	Runs    []capacity.Residual `json:"runs"`
	Check   capacity.Residual   `json:"check"` // a run that the model was not fitted on
}

// modelLoads are the loads a model is fitted on, and one to check it by. They
// differ in each of the model's terms, and fit two cores.
func modelLoads() (loads []capacity.Load, check capacity.Load) {
	return []capacity.Load{
		{Nodes: 1, Conns: 1000, Room: 100, Deliveries: 10_000},
		{Nodes: 1, Conns: 12_000, Room: 100, Deliveries: 20_000},
		{Nodes: 1, Conns: 1000, Room: 10, Deliveries: 5_000},
		{Nodes: 1, Conns: 2000, Room: 20, Deliveries: 15_000},
		{Nodes: 2, Conns: 1000, Room: 10, Deliveries: 5_000},
		{Nodes: 2, Conns: 4000, Room: 100, Deliveries: 15_000},
		{Nodes: 3, Conns: 3000, Room: 100, Deliveries: 10_000},
		{Nodes: 3, Conns: 1000, Room: 20, Deliveries: 6_000},
	}, capacity.Load{Nodes: 3, Conns: 2000, Room: 50, Deliveries: 12_000}
}

// FitModel makes a number of short runs, each a strength times as strong as
// those that fit two cores, fits a model to what they took, and checks it by
// one run more.
func FitModel(ctx context.Context, s Setup, strength float64) (*ModelReport, error) {
	s = s.withDefaults()
	machine, err := ThisMachine()
	if err != nil {
		return nil, err
	}
	loads, check := modelLoads()
	loads = append(loads, check)
	runs := make([]capacity.Run, len(loads))
	for i, l := range loads {
		l = l.Scaled(strength)
		l.Polling = s.Polling
		s.say("model, run %d of %d: %s", i+1, len(loads), title(l))
		report, err := s.Run(ctx, l)
		if err != nil {
			return nil, err
		}
		runs[i] = Measured(l, report)
		if what := runs[i].Unmeasured(); what != "" {
			return nil, fmt.Errorf("socketeer: run %d of a capacity model has measured no %s in %v: was that too short, or is the server another process than the one started?",
				i+1, what, s.Duration)
		}
	}
	last := len(runs) - 1
	m, err := capacity.Fit(runs[:last])
	if err != nil {
		return nil, err
	}
	r := &ModelReport{Machine: machine, Adapter: s.adapter(), Formula: capacity.Formula, Model: *m, Check: m.Check(runs[last])}
	for _, run := range runs[:last] {
		r.Runs = append(r.Runs, m.Check(run))
	}
	return r, nil
}

// ReadModel reads the JSON form of a report.
func ReadModel(file string) (*ModelReport, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("socketeer: no capacity model: %w", err)
	}
	var r ModelReport
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("socketeer: no capacity model in %s: %w", file, err)
	}
	if r.Model.Delivery == 0 {
		return nil, fmt.Errorf("socketeer: no capacity model in %s: bench model --json makes one", file)
	}
	if what := r.Check.Unmeasured(); what != "" {
		return nil, fmt.Errorf("socketeer: no capacity model in %s that is to be trusted: the run to check it by has no %s; bench model --json makes one", file, what)
	}
	return &r, nil
}

// WriteTable writes the report for people.
func (r *ModelReport) WriteTable(w io.Writer) error {
	m := r.Model
	fmt.Fprintf(w, "%s\n\n", r.Formula)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range coefficients(&m) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, strings.Join(residualColumns, "\t"))
	for _, row := range r.residuals() {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// coefficients are the model's, with what each is, for people.
func coefficients(m *capacity.Model) (rows [][]string) {
	for _, row := range []struct {
		name, unit string
		value      float64
	}{
		{"node", "cores, a node without load", m.NodeCores},
		{"held", "us of server CPU a second, an open connection", m.Held},
		{"delivery", "us of server CPU, a message to a member of a room", m.Delivery},
		{"send", "us of server CPU, a message from a client", m.Send},
		{"crossing", "us of server CPU, a message from one node to another", m.Crossing},
		{"gdelivery", "us of the load generator's CPU", m.GeneratorDelivery},
		{"gsend", "us of the load generator's CPU", m.GeneratorSend},
		{"nodemem", "KiB, a node without connections", m.NodeKiB},
		{"connmem", "KiB, a connection under load, garbage included", m.ConnectionKiB},
	} {
		rows = append(rows, []string{row.name, loadgen.Decimal(row.value), row.unit})
	}
	return rows
}

var residualColumns = []string{"nodes", "connections", "room", "deliveries/s", "server cores", "predicted", "off by", "MiB", "predicted", "off by", ""}

// residuals are the model's runs beside what it says for them, for people.
func (r *ModelReport) residuals() (rows [][]string) {
	for _, run := range r.Runs {
		rows = append(rows, residual(run, ""))
	}
	return append(rows, residual(r.Check, "the check: not fitted on"))
}

func residual(r capacity.Residual, remark string) []string {
	return []string{
		fmt.Sprint(r.Nodes), loadgen.Count(float64(r.Conns)), fmt.Sprint(r.Room), loadgen.Count(r.Deliveries),
		fmt.Sprintf("%.3f", r.ServerCores), fmt.Sprintf("%.3f", r.Predicted.ServerCores), fmt.Sprintf("%+.0f%%", 100*r.ServerError()),
		fmt.Sprintf("%.1f", r.MemoryKiB/1024), fmt.Sprintf("%.1f", r.Predicted.MemoryKiB/1024), fmt.Sprintf("%+.0f%%", 100*r.MemoryError()), remark,
	}
}
