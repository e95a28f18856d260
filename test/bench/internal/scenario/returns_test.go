package scenario_test

import (
	"maps"
	"testing"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
)

const (
	stormReport = `{"conns": 100, "storm": {"connections": 100, "back": 97, "seconds": 2.5, "time_to_return": {"p50_ms": 900, "p99_ms": 1400},
		"failed_attempts": 4, "server_cpu": {"cores": 0.5, "per_message_us": 90}, "generator_cpu": {"cores": 0.3}, "other_cores": 0.2, "peak_kib": 2048}}`
	dropsReport = `{"conns": 100, "lost_connections": 1,
		"drops": {"delivered_percent": 87.5, "messages": 40, "min": 30, "returned": 50, "recovered": 10, "failed_attempts": 2},
		"load": {"missing": 500, "duplicated": 3, "server_cpu": {"cores": 0.1, "per_message_us": 40}, "generator_cpu": {"cores": 0.05}, "other_cores": 0.1}}`
	deployReport = `{"conns": 100, "lost_connections": 100,
		"deploy": {"delivered_percent": 95, "connections_lost": 100, "connected_percent": 98,
			"gap": {"p50_ms": 1000, "p99_ms": 1500}, "reconnect": {"p50_ms": 2, "p99_ms": 20}, "failed_attempts": 7,
			"connections_returned": 80, "recovered": 60},
		"load": {"missing": 500, "missed_sends": 8, "misordered": 2, "server_cpu": {"cores": 0.4, "per_message_us": 60}, "generator_cpu": {"cores": 0.1}, "other_cores": 0.3}}`
)

// What clients miss while they are away on purpose is a figure, and no fault.
func TestReturns(t *testing.T) {
	for _, tt := range []struct {
		scenario, report string
		want             map[scenario.Key]float64
		faults           scenario.Faults
		disturbed        bool
	}{
		{"storm", stormReport, map[scenario.Key]float64{
			scenario.AllBack: 2.5, scenario.P50: 900, scenario.P99: 1400, scenario.ReturnCPU: 90, scenario.PeakMemory: 2,
			scenario.FailedAttempts: 4, scenario.ServerCores: 0.5, scenario.GeneratorCores: 0.3, scenario.OtherCores: 0.2,
		}, scenario.Faults{Away: 3}, true},
		{"drops", dropsReport, map[scenario.Key]float64{
			scenario.Delivered: 87.5, scenario.Undelivered: 12.5, scenario.WorstClient: 75, scenario.Recovered: 20, scenario.DeliveryCPU: 40,
			scenario.FailedAttempts: 2, scenario.ServerCores: 0.1, scenario.GeneratorCores: 0.05, scenario.OtherCores: 0.1,
		}, scenario.Faults{Duplicated: 3, Lost: 1}, false},
		{"deploy", deployReport, map[scenario.Key]float64{
			scenario.Delivered: 95, scenario.Undelivered: 5, scenario.P50: 1000, scenario.P99: 1500, scenario.ReconnectP50: 2, scenario.ReconnectP99: 20,
			scenario.Recovered: 75, scenario.Fallen: 100, scenario.Back: 98, scenario.FailedAttempts: 7, scenario.DeliveryCPU: 60,
			scenario.ServerCores: 0.4, scenario.GeneratorCores: 0.1, scenario.OtherCores: 0.3,
		}, scenario.Faults{Misordered: 2}, true},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			s := named(t, tt.scenario)
			r, err := s.ParseReport([]byte(tt.report))
			if err != nil {
				t.Fatal(err)
			}
			got := map[scenario.Key]float64{}
			for _, m := range s.Metrics() {
				got[m.Key] = m.Value(r)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if r.Faults() != tt.faults || r.Disturbed() != tt.disturbed {
				t.Errorf("faults %+v, disturbed %v, want %+v, %v", r.Faults(), r.Disturbed(), tt.faults, tt.disturbed)
			}
		})
	}
}

// Nobody may have come back.
func TestNothingToDivideBy(t *testing.T) {
	s := named(t, "drops")
	r, err := s.ParseReport([]byte(`{"drops": {}, "load": {"server_cpu": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Metrics() {
		if v := m.Value(r); v != 0 && v != 100 {
			t.Errorf("%s is %v", m.Name, v)
		}
	}
}

func TestRuns(t *testing.T) {
	for name, want := range map[string]struct {
		rounds, warmups          int
		fresh, replaces, returns bool
	}{
		"idle":        {5, 0, true, false, false},
		"echo":        {5, 1, false, false, false},
		"storm":       {5, 1, false, false, false},
		"drops":       {2, 0, false, false, true},
		"direct":      {5, 1, false, false, false},
		"deploy":      {2, 0, false, true, true},
		"deploy-kill": {2, 0, false, true, true},
	} {
		s := named(t, name)
		if s.Rounds(5) != want.rounds || s.Rounds(1) != 1 || s.Warmups() != want.warmups {
			t.Errorf("%s: %d rounds, %d for one, %d warm-ups", name, s.Rounds(5), s.Rounds(1), s.Warmups())
		}
		if s.Fresh() != want.fresh || s.Replaces() != want.replaces || s.Returns() != want.returns {
			t.Errorf("%s: fresh %v, replaces %v, returns %v", name, s.Fresh(), s.Replaces(), s.Returns())
		}
	}
}
