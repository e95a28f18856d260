package scenario_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

func named(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	for _, s := range scenario.All() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario.Scenario{}
}

func TestArgs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		scale float64
		want  string
	}{
		{"idle", 1, "--conns 10000 --mode idle --settle 4s"},
		{"echo", 1, "--conns 500 --mode echo --duration 4s --warmup 1s"},
		{"rooms", 1, "--conns 5000 --mode rooms --duration 4s --warmup 1s --room 100"},
		{"broadcast", 1, "--conns 10000 --mode rooms --duration 4s --warmup 2s --room 10000"},
		{"paced", 1, "--conns 10000 --mode rooms --duration 4s --warmup 2s --room 100 --rate 50000"},
		{"storm", 1, "--conns 10000 --mode storm --settle 1s --duration 30s --room 100"},
		{"drops", 1, "--conns 1000 --mode drops --recover --messages 64 --message-every 500ms --drop-every 15s --drop-for 2s --drain 3s --room 100"},
		{"cluster-pairs", 1, "--conns 6000 --mode rooms --duration 4s --warmup 1s --room 2 --rate 6000"},
		{"direct", 1, "--conns 600 --mode direct --duration 4s --warmup 1s"},
		{"deploy", 1, "--conns 3000 --nodes 3 --room 100 --rate 10000 --every 8s --drain 4s --warmup 1s"},
		{"deploy-kill", 1, "--conns 3000 --nodes 3 --room 100 --rate 10000 --every 8s --drain 4s --warmup 1s --kill"},
		{"echo", 0.1, "--conns 50 --mode echo --duration 4s --warmup 1s"},
		{"direct", 0.005, "--conns 6 --mode direct --duration 4s --warmup 1s"},
		{"direct", 0.012, "--conns 8 --mode direct --duration 4s --warmup 1s"}, // pairs
		{"broadcast", 0.1, "--conns 1000 --mode rooms --duration 4s --warmup 2s --room 1000"},
		{"paced", 0.001, "--conns 10 --mode rooms --duration 4s --warmup 2s --room 10 --rate 50"},
		{"cluster-pairs", 0.0001, "--conns 6 --mode rooms --duration 4s --warmup 1s --room 2 --rate 0.6"},
	} {
		s := named(t, tt.name).Scaled(tt.scale)
		if got := strings.Join(s.Args(4*time.Second), " "); got != tt.want {
			t.Errorf("%s at %g: got %s, want %s", tt.name, tt.scale, got, tt.want)
		}
	}
}

func TestTitle(t *testing.T) {
	for name, want := range map[string]string{
		"idle":          "10,000 connections that do nothing",
		"echo":          "500 connections, each sends and waits for the acknowledgement",
		"broadcast":     "10,000 connections in one room, saturated",
		"paced":         "10,000 connections in rooms of 100, 50,000 deliveries/s",
		"cluster-rooms": "3 nodes, 6,000 connections in rooms of 100, saturated",
		"storm":         "10,000 connections in rooms of 100, cut at once, that come back after 0.5 to 1.5 s",
		"drops":         "1,000 connections in rooms of 100, a message every 500ms; each client but the sender is cut every 15s for 2s",
		"direct":        "3 nodes, 600 connections in pairs on different nodes, each sends to its partner's id, saturated",
		"deploy":        "3 nodes, 3,000 connections in rooms of 100, 10,000 deliveries/s; the nodes are replaced one by one, by SIGTERM",
		"deploy-kill":   "3 nodes, 3,000 connections in rooms of 100, 10,000 deliveries/s; the nodes are replaced one by one, by SIGKILL",
	} {
		if got := named(t, name).Title(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

const echoReport = `{
	"mode": "echo", "accept": {"per_second": 1000, "server_cpu_us": 80}, "lost_connections": 1,
	"load": {"per_second": 52000, "missed_sends": 6, "missing": 2, "misordered": 3, "duplicated": 4, "foreign": 5,
		"latency": {"p50_ms": 1.5, "p99_ms": 9}, "server_cpu": {"cores": 0.9, "per_message_us": 13.8},
		"generator_cpu": {"cores": 0.6}, "other_cores": 0.2}
}`

func TestMetrics(t *testing.T) {
	s := named(t, "echo")
	r, err := s.ParseReport([]byte(echoReport))
	if err != nil {
		t.Fatal(err)
	}
	got := map[scenario.Key]float64{}
	for _, m := range s.Metrics() {
		got[m.Key] = m.Value(r)
	}
	for key, want := range map[scenario.Key]float64{
		scenario.Throughput: 52000, scenario.MessageCPU: 13.8, scenario.P50: 1.5, scenario.P99: 9,
		scenario.ServerCores: 0.9, scenario.GeneratorCores: 0.6, scenario.OtherCores: 0.2,
	} {
		if got[key] != want {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
	}
	if !r.Disturbed() {
		t.Error("not disturbed by 0.2 cores of others")
	}
	want := scenario.Faults{Missing: 2, Misordered: 3, Duplicated: 4, Foreign: 5, Missed: 6, Lost: 1}
	if r.Faults() != want {
		t.Errorf("faults: got %+v, want %+v", r.Faults(), want)
	}
}

func TestIdleMetrics(t *testing.T) {
	s := named(t, "idle")
	r, err := s.ParseReport([]byte(`{"accept": {"per_second": 9000, "server_cpu_us": 80}, "memory": {"per_connection_kib": 3.8}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, m := range s.Metrics() {
		got = append(got, m.Value(r))
	}
	if want := []float64{3.8, 9000, 80}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r.Disturbed() {
		t.Error("disturbed, which an idle run cannot tell")
	}
}

func TestParseReportRefuses(t *testing.T) {
	for _, tt := range []struct{ scenario, report string }{
		{"echo", `not JSON`},
		{"echo", `{}`},
		{"echo", `{"load": {"per_second": 1}}`}, // the servers' CPU time was not read
		{"idle", `{"accept": {"per_second": 9000}}`},
		{"direct", `{}`},
		{"storm", `{"storm": {"connections": 1}}`},
		{"drops", `{"load": {"server_cpu": {}}}`},
		{"drops", `{"drops": {}, "load": {}}`},
		{"deploy", `{"load": {"server_cpu": {}}}`},
		{"deploy-kill", `{"deploy": {}}`},
	} {
		if _, err := named(t, tt.scenario).ParseReport([]byte(tt.report)); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%s of %s: error %v", tt.report, tt.scenario, err)
		}
	}
}

func TestFaults(t *testing.T) {
	sum := scenario.Faults{Missing: 1000, Lost: 1}.Add(scenario.Faults{Missing: 500, Duplicated: 2})
	if got, want := sum.String(), "1,500 missing, 2 twice, 1 connections lost"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (scenario.Faults{}).String(); got != "none" {
		t.Errorf("no faults are %q", got)
	}
	for f, complete := range map[scenario.Faults]bool{
		{}: true, {Missed: 1}: true, {Misordered: 1}: true, {Missing: 1}: false, {Lost: 1}: false, {Away: 1}: false,
	} {
		if f.Complete() != complete {
			t.Errorf("%v is complete: %v", f, f.Complete())
		}
	}
}

func TestJudge(t *testing.T) {
	atLeast := scenario.Target{AtLeast: true, Limit: 1.6}
	atMost := scenario.Target{Limit: 0.6}
	complete := scenario.Target{Limit: 1, Complete: true}
	for _, tt := range []struct {
		name   string
		target scenario.Target
		ratios stat.Summary
		faults scenario.Faults
		want   string
		why    string
	}{
		{"nothing", atLeast, stat.Summary{}, scenario.Faults{}, "not measured", ""},
		{"more than enough", atLeast, stat.Summary{Median: 1.8, Min: 1.7, Max: 1.9, N: 5}, scenario.Faults{}, "met", ""},
		{"just enough", atLeast, stat.Summary{Median: 1.6, Min: 1.6, Max: 1.6, N: 5}, scenario.Faults{}, "met", ""},
		{"too little", atLeast, stat.Summary{Median: 1.5, Min: 1.4, Max: 1.59, N: 5}, scenario.Faults{}, "NOT MET", ""},
		{"the median decides", atLeast, stat.Summary{Median: 1.7, Min: 1.5, Max: 1.9, N: 5}, scenario.Faults{}, "met", "not in all rounds"},
		{"also against", atLeast, stat.Summary{Median: 1.5, Min: 1.4, Max: 1.9, N: 5}, scenario.Faults{}, "NOT MET", "not in all rounds"},
		{"low enough", atMost, stat.Summary{Median: 0.5, Min: 0.4, Max: 0.6, N: 5}, scenario.Faults{}, "met", ""},
		{"too high", atMost, stat.Summary{Median: 0.7, Min: 0.61, Max: 0.8, N: 5}, scenario.Faults{}, "NOT MET", ""},
		{"faults that do not count", atMost, stat.Summary{Median: 0.5, Min: 0.5, Max: 0.5, N: 5}, scenario.Faults{Missing: 1}, "met", ""},
		{"complete", complete, stat.Summary{Median: 0.5, Min: 0.5, Max: 0.5, N: 5}, scenario.Faults{}, "met", ""},
		{"incomplete", complete, stat.Summary{Median: 0.5, Min: 0.5, Max: 0.5, N: 5}, scenario.Faults{Missing: 7}, "NOT MET", "ours: 7 missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.target.Judge(tt.ratios, tt.faults)
			if v.String() != tt.want || v.Why != tt.why {
				t.Errorf("got %s (%s), want %s (%s)", v, v.Why, tt.want, tt.why)
			}
		})
	}
}

// A target that names what does not exist would never be measured.
func TestTargetsExist(t *testing.T) {
	for _, target := range scenario.Targets() {
		s := named(t, target.Scenario)
		if !slices.ContainsFunc(s.Metrics(), func(m scenario.Metric) bool { return m.Key == target.Metric && m.Compared }) {
			t.Errorf("%s: no such metric", target)
		}
	}
}
