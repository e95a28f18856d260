// Package results holds what was measured: in memory, and in a file.
package results

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

// Results are all runs of a session. Its JSON form is that of the file.
type Results struct {
	Date    time.Time `json:"date"`
	Machine []string  `json:"machine"` // what it ran on, and the versions of what ran
	Rounds  int       `json:"rounds"`  // asked for
	Seconds float64   `json:"seconds"` // of the measured part of a load
	Scale   float64   `json:"scale"`   // of connections and rates
	// Incomplete says why the session ended early; empty when it did not.
	Incomplete string `json:"incomplete,omitempty"`
	Runs       []Run  `json:"runs"`
}

// Run is one run and its report.
type Run struct {
	Scenario string          `json:"scenario"`
	Server   string          `json:"server"`
	Round    int             `json:"round"`    // from 1
	Position int             `json:"position"` // in its round, from 1
	Report   json.RawMessage `json:"report"`   // as the load generator printed it
}

// Save writes r to a file.
func (r *Results) Save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("socketeer: cannot keep the reports: %w", err)
	}
	return nil
}

// Load reads a file that Save wrote.
func Load(path string) (*Results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("socketeer: no reports: %w", err)
	}
	r := &Results{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("socketeer: %s holds no reports of a comparison: %w", path, err)
	}
	return r, nil
}

// Series are the reports of one scenario, by server and round.
type Series struct {
	Scenario scenario.Scenario
	Servers  []server.Kind
	reports  map[string]map[int]*scenario.Report
}

// Series returns the scenarios that have runs, in their usual order.
func (r *Results) Series() ([]*Series, error) {
	var all []*Series
	for _, sc := range scenario.All() {
		s := &Series{Scenario: sc.Scaled(r.Scale), reports: map[string]map[int]*scenario.Report{}}
		for _, run := range r.Runs {
			if run.Scenario != sc.Name {
				continue
			}
			report, err := s.Scenario.ParseReport(run.Report)
			if err != nil {
				return nil, err
			}
			if s.reports[run.Server] == nil {
				s.reports[run.Server] = map[int]*scenario.Report{}
			}
			s.reports[run.Server][run.Round] = report
		}
		for _, k := range server.All() {
			if s.reports[k.Name] != nil {
				s.Servers = append(s.Servers, k)
			}
		}
		if len(s.Servers) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}

// Rounds returns a metric of a server.
func (s *Series) Rounds(server string, m scenario.Metric) stat.Rounds {
	rounds := stat.Rounds{}
	for round, report := range s.reports[server] {
		rounds[round] = m.Value(report)
	}
	return rounds
}

// Count returns the number of rounds in which any server has a report.
func (s *Series) Count() int {
	rounds := map[int]bool{}
	for _, reports := range s.reports {
		for round := range reports {
			rounds[round] = true
		}
	}
	return len(rounds)
}

// Faults returns what went wrong with a server in all rounds.
func (s *Series) Faults(server string) scenario.Faults {
	var sum scenario.Faults
	for _, report := range s.reports[server] {
		sum = sum.Add(report.Faults())
	}
	return sum
}

// Disturbed returns the rounds in which a run was disturbed.
func (s *Series) Disturbed() []int {
	var rounds []int
	for _, reports := range s.reports {
		for round, report := range reports {
			if report.Disturbed() && !slices.Contains(rounds, round) {
				rounds = append(rounds, round)
			}
		}
	}
	slices.Sort(rounds)
	return rounds
}

// Judge returns how a target came out, and the ratios it was judged by.
func (s *Series) Judge(t scenario.Target) (scenario.Verdict, stat.Summary) {
	for _, m := range s.Scenario.Metrics() {
		if m.Key == t.Metric && s.Scenario.Name == t.Scenario {
			ours := cmp.Or(t.Ours, server.Ours)
			ratios := stat.Of(s.Rounds(ours, m).Ratios(s.Rounds(t.Peer, m)))
			return t.Judge(ratios, s.Faults(ours)), ratios
		}
	}
	return scenario.Verdict{}, stat.Summary{}
}
