package results_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer/test/bench/internal/results"
	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

func echo(server string, round int, perSecond, cpu, other float64, missing int) results.Run {
	report := fmt.Sprintf(`{"load": {"per_second": %g, "missing": %d, "server_cpu": {"per_message_us": %g}, "other_cores": %g}}`,
		perSecond, missing, cpu, other)
	return results.Run{Scenario: "echo", Server: server, Round: round, Report: json.RawMessage(report)}
}

func example() *results.Results {
	return &results.Results{Rounds: 3, Seconds: 4, Scale: 1, Runs: []results.Run{
		echo("ours", 1, 100, 5, 0, 0), echo("uws", 1, 50, 10, 0.3, 1),
		echo("uws", 2, 40, 12, 0, 2), echo("ours", 2, 60, 6, 0.1, 0),
		echo("ours", 3, 90, 5, 0.16, 0), // cut short: uws has no third
	}}
}

func TestSeries(t *testing.T) {
	all, err := example().Series()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Scenario.Name != "echo" || len(all[0].Servers) != 2 {
		t.Fatalf("got %d series, want echo of two servers", len(all))
	}
	s := all[0]
	metrics := s.Scenario.Metrics()
	if got, want := s.Rounds("ours", metrics[0]), (stat.Rounds{1: 100, 2: 60, 3: 90}); !maps.Equal(got, want) {
		t.Errorf("throughput of ours: got %v, want %v", got, want)
	}
	if got := s.Count(); got != 3 {
		t.Errorf("got %d rounds, want 3", got)
	}
	if got, want := s.Disturbed(), []int{1, 3}; !slices.Equal(got, want) {
		t.Errorf("disturbed rounds: got %v, want %v", got, want)
	}
	if got, want := s.Faults("uws"), (scenario.Faults{Missing: 3}); got != want {
		t.Errorf("faults of uws: got %v, want %v", got, want)
	}
}

func TestJudge(t *testing.T) {
	all, err := example().Series()
	if err != nil {
		t.Fatal(err)
	}
	v, ratios := all[0].Judge(scenario.Target{Scenario: "echo", Metric: scenario.Throughput, Peer: "uws", AtLeast: true, Limit: 1.6})
	if want := (stat.Summary{Median: 1.75, Min: 1.5, Max: 2, N: 2}); ratios != want || !v.Met {
		t.Errorf("got %+v, %s, want %+v, met", ratios, v, want)
	}
	for _, other := range []scenario.Target{
		{Scenario: "echo", Metric: scenario.Throughput, Peer: "ws"},
		{Scenario: "paced", Metric: scenario.Throughput, Peer: "uws"},
		{Scenario: "echo", Metric: scenario.Memory, Peer: "uws"},
	} {
		if v, _ := all[0].Judge(other); v.Measured {
			t.Errorf("%s is measured", other)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.json")
	r := example()
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := results.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Rounds != r.Rounds || back.Scale != r.Scale || len(back.Runs) != len(r.Runs) {
		t.Errorf("got %+v, want %+v", back, r)
	}
	if _, err := back.Series(); err != nil {
		t.Error(err)
	}
	if _, err := results.Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("read a file that is not there")
	}
}
