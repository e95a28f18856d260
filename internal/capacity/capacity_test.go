package capacity_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/capacity"
)

var truth = capacity.Model{
	NodeCores: 0.02, Held: 2, Delivery: 3, Send: 15, Crossing: 9,
	GeneratorDelivery: 1.5, GeneratorSend: 4, NodeKiB: 20_000, ConnectionKiB: 4.2,
}

func loads() []capacity.Load {
	return []capacity.Load{
		{Nodes: 1, Conns: 1000, Room: 100, Deliveries: 10_000},
		{Nodes: 1, Conns: 2000, Room: 10, Deliveries: 10_000},
		{Nodes: 1, Conns: 1000, Room: 100, Deliveries: 30_000},
		{Nodes: 2, Conns: 1000, Room: 10, Deliveries: 10_000},
		{Nodes: 3, Conns: 1000, Room: 100, Deliveries: 20_000},
		{Nodes: 3, Conns: 3000, Room: 10, Deliveries: 5_000},
		{Nodes: 2, Conns: 9000, Room: 100, Deliveries: 15_000},
	}
}

// measured makes runs that the model explains, but for some noise.
func measured(m capacity.Model, noise float64) []capacity.Run {
	rng := rand.New(rand.NewPCG(1, 2))
	var runs []capacity.Run
	for _, l := range loads() {
		n := m.Predict(l)
		for _, v := range []*float64{&n.ServerCores, &n.GeneratorCores, &n.MemoryKiB} {
			*v *= 1 + noise*(2*rng.Float64()-1)
		}
		runs = append(runs, capacity.Run{Load: l, Need: n})
	}
	return runs
}

func near(a, b, by float64) bool { return math.Abs(a-b) <= by*math.Abs(b)+1e-9 }

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		load             capacity.Load
		sends, crossings float64
	}{
		{capacity.Load{Nodes: 1, Room: 100, Deliveries: 1000}, 10, 0},
		{capacity.Load{Nodes: 4, Room: 100, Deliveries: 1000}, 10, 30},
		{capacity.Load{Nodes: 8, Room: 2, Deliveries: 1000}, 500, 500},
		{capacity.Load{}, 0, 0},
	} {
		if s, x := tt.load.Sends(), tt.load.Crossings(); s != tt.sends || x != tt.crossings {
			t.Errorf("%+v: %g sends, %g crossings", tt.load, s, x)
		}
	}
}

func TestFitFindsTheTruth(t *testing.T) {
	m, err := capacity.Fit(measured(truth, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]float64{
		"node": {m.NodeCores, truth.NodeCores}, "held": {m.Held, truth.Held}, "delivery": {m.Delivery, truth.Delivery},
		"send": {m.Send, truth.Send}, "crossing": {m.Crossing, truth.Crossing},
		"generator delivery": {m.GeneratorDelivery, truth.GeneratorDelivery}, "generator send": {m.GeneratorSend, truth.GeneratorSend},
		"node memory": {m.NodeKiB, truth.NodeKiB}, "connection": {m.ConnectionKiB, truth.ConnectionKiB},
	} {
		if !near(pair[0], pair[1], 1e-6) {
			t.Errorf("%s is %g, not %g", name, pair[0], pair[1])
		}
	}
}

func TestFitOfNoisyRunsPredicts(t *testing.T) {
	m, err := capacity.Fit(measured(truth, 0.03))
	if err != nil {
		t.Fatal(err)
	}
	l := capacity.Load{Nodes: 3, Conns: 2000, Room: 50, Deliveries: 15_000}
	r := m.Check(capacity.Run{Load: l, Need: truth.Predict(l)})
	if math.Abs(r.ServerError()) > 0.1 || math.Abs(r.MemoryError()) > 0.1 {
		t.Errorf("predicted %+v, truth %+v", r.Predicted, r.Need)
	}
}

func TestFitHasNothingBelowZero(t *testing.T) {
	runs := measured(truth, 0)
	for i := range runs {
		// The more crossings, the less it takes: no cost explains that.
		runs[i].ServerCores = 3e-6*runs[i].Deliveries + 15e-6*runs[i].Sends() + 0.05 - 2e-6*runs[i].Crossings()
	}
	m, err := capacity.Fit(runs)
	if err != nil {
		t.Fatal(err)
	}
	if m.Crossing != 0 || m.Delivery <= 0 || m.Send < 0 || m.NodeCores < 0 {
		t.Errorf("%+v", m)
	}
}

func TestFitWithoutCluster(t *testing.T) {
	runs := measured(truth, 0)
	for i := range runs {
		runs[i].Nodes = 1
		runs[i].Need = truth.Predict(runs[i].Load)
	}
	m, err := capacity.Fit(runs)
	if err != nil || m.Crossing != 0 || !near(m.Delivery, truth.Delivery, 1e-6) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFitRefuses(t *testing.T) {
	alike := make([]capacity.Run, 6)
	for i := range alike {
		alike[i] = measured(truth, 0)[0]
	}
	empty := measured(truth, 0)
	empty[2].ServerCores = 0
	for want, runs := range map[string][]capacity.Run{
		"at least 5 runs": measured(truth, 0)[:4],
		"too much alike":  alike,
		"run 3 of a capacity model has measured no CPU time of the servers": empty,
	} {
		if _, err := capacity.Fit(runs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestModelFitsMachine(t *testing.T) {
	row := capacity.Load{Nodes: 20, Conns: 500_000, Room: 100, Deliveries: 1_000_000}
	for _, tt := range []struct {
		on     capacity.Machine
		limit  string
		lo, hi float64
	}{
		{capacity.Machine{Cores: 64, MemoryKiB: 64 << 20, Files: 1 << 20}, "nothing", 1, 1},
		{capacity.Machine{Cores: 64, MemoryKiB: 64 << 20, Files: 20_000}, "file limit: 25000", 0.79, 0.8},
		{capacity.Machine{Cores: 2, MemoryKiB: 64 << 20, Files: 20_000}, "CPU", 0.1, 0.2},
		{capacity.Machine{Cores: 64, MemoryKiB: 1 << 20, Files: 1 << 20}, "memory", 0.1, 0.2},
		{capacity.Machine{Cores: 0.1, MemoryKiB: 64 << 20, Files: 1 << 20}, "CPU", 0, 0},
	} {
		scale, limit := truth.Fit(row, tt.on)
		if scale < tt.lo || scale > tt.hi || !strings.HasPrefix(limit, tt.limit) {
			t.Errorf("%+v: %g because of %s", tt.on, scale, limit)
		}
	}
}

// A client on polling has two connections, so that fewer of them fit.
func TestPollingTakesFiles(t *testing.T) {
	row := capacity.Load{Nodes: 20, Conns: 500_000, Room: 100, Deliveries: 1_000_000, Polling: 0.5}
	if got := row.Sockets(); got != 750_000 {
		t.Errorf("%d sockets", got)
	}
	on := capacity.Machine{Cores: 64, MemoryKiB: 64 << 20, Files: 20_000}
	if scale, limit := truth.Fit(row, on); scale < 0.52 || scale > 0.54 || !strings.HasPrefix(limit, "file limit") {
		t.Errorf("%g because of %s", scale, limit)
	}
}

func TestNodes(t *testing.T) {
	for _, c := range []struct {
		files       uint64
		conns, want int
	}{
		{20_000, 50_000, 3},
		{20_000, 19_872, 1}, // 128 are for other things
		{20_000, 19_873, 2},
		{1 << 20, 50_000, 1},
		{128, 50_000, 1},
		{1, 0, 1},
	} {
		if got := (capacity.Machine{Files: c.files}).Nodes(c.conns); got != c.want {
			t.Errorf("%d connections with %d files: %d nodes, want %d", c.conns, c.files, got, c.want)
		}
	}
}

func TestMachineInJSON(t *testing.T) {
	b, err := json.Marshal(capacity.Machine{Cores: 2, MemoryKiB: 1024, Files: 20_000})
	if err != nil || string(b) != `{"cores":2,"memory_kib":1024,"files":20000}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestScaled(t *testing.T) {
	row := capacity.Load{Nodes: 3, Conns: 50_000, Room: 100, Deliveries: 150_000}
	for by, want := range map[float64]capacity.Load{
		1:      row,
		0.1:    {Nodes: 3, Conns: 5000, Room: 100, Deliveries: 15_000},
		0.0333: {Nodes: 3, Conns: 1700, Room: 100, Deliveries: 5100},
		0:      {Nodes: 3, Conns: 100, Room: 100, Deliveries: 300},
	} {
		if got := row.Scaled(by); got.Conns != want.Conns || !near(got.Deliveries, want.Deliveries, 1e-9) || got.Nodes != 3 || got.Room != 100 {
			t.Errorf("by %g: %+v, want %+v", by, got, want)
		}
	}
}
