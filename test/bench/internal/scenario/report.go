package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Report is what is read from the JSON report of "socketeer bench".
type Report struct {
	Accept struct {
		PerSecond    float64 `json:"per_second"`
		ServerMicros float64 `json:"server_cpu_us"`
	} `json:"accept"`
	Memory *struct {
		PerConnectionKiB float64 `json:"per_connection_kib"`
	} `json:"memory"`
	Load   *Load   `json:"load"`
	Storm  *Storm  `json:"storm"`
	Drops  *Drops  `json:"drops"`
	Deploy *Deploy `json:"deploy"`
	Lost   uint64  `json:"lost_connections"`
}

// Load is the part of a report about what was sent.
type Load struct {
	PerSecond  float64 `json:"per_second"`
	Missed     uint64  `json:"missed_sends"`
	Expected   uint64  `json:"expected"`
	Missing    uint64  `json:"missing"`
	Misordered uint64  `json:"misordered"`
	Duplicated uint64  `json:"duplicated"`
	Foreign    uint64  `json:"foreign"`
	Latency    Latency `json:"latency"`
	Cores
}

// Storm is the part about connections that were cut at once.
type Storm struct {
	Conns   uint64  `json:"connections"`
	Back    uint64  `json:"back"`
	Seconds float64 `json:"seconds"`
	Return  Latency `json:"time_to_return"`
	Failed  float64 `json:"failed_attempts"`
	PeakKiB float64 `json:"peak_kib"`
	Cores
}

// Drops is the part about clients that were cut again and again.
type Drops struct {
	Percent   float64 `json:"delivered_percent"`
	Messages  float64 `json:"messages"`
	Min       float64 `json:"min"` // of them, that a client got
	Returned  float64 `json:"returned"`
	Recovered float64 `json:"recovered"`
	Failed    float64 `json:"failed_attempts"`
}

// Deploy is the part about servers that were replaced.
type Deploy struct {
	Percent   float64 `json:"delivered_percent"`
	Fallen    float64 `json:"connections_lost"`
	Returned  float64 `json:"connections_returned"`
	Recovered float64 `json:"recovered"`
	Back      float64 `json:"connected_percent"` // at the end
	Gap       Latency `json:"gap"`
	Reconnect Latency `json:"reconnect"`
	Failed    float64 `json:"failed_attempts"`
}

// Latency is in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// Cores says who took the processors while a load was measured.
type Cores struct {
	Server     *CPU    `json:"server_cpu"`
	Generator  CPU     `json:"generator_cpu"`
	OtherCores float64 `json:"other_cores"`
}

// CPU is processor time.
type CPU struct {
	Cores            float64 `json:"cores"`
	PerMessageMicros float64 `json:"per_message_us"`
}

// ParseReport reads the report of a run of s, and makes sure that it holds
// what is to be compared.
func (s Scenario) ParseReport(b []byte) (*Report, error) {
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("socketeer: report of %s: %w", s.Name, err)
	}
	if lacks := s.mode.lacks(r); lacks != "" {
		return nil, fmt.Errorf("socketeer: report of %s: %s", s.Name, lacks)
	}
	return r, nil
}

// DisturbedAbove is how many cores other processes may take before a run
// counts as disturbed.
const DisturbedAbove = 0.15

// Others returns how many cores other processes took while the load was
// measured. Of an idle run it is not known, and 0.
func (r *Report) Others() float64 {
	switch {
	case r.Load != nil:
		return r.Load.OtherCores
	case r.Storm != nil:
		return r.Storm.OtherCores
	}
	return 0
}

// Disturbed reports whether other processes took too much of the machine.
func (r *Report) Disturbed() bool { return r.Others() > DisturbedAbove }

// Faults counts what went wrong in one run or in several.
type Faults struct {
	Missing, Misordered, Duplicated, Foreign, Missed, Lost, Away uint64
}

// Faults returns what went wrong. What clients miss whose connections or
// servers are taken away is a figure of theirs, and no fault.
func (r *Report) Faults() Faults {
	f := Faults{Lost: r.Lost}
	if l := r.Load; l != nil {
		f.Missing, f.Misordered, f.Duplicated, f.Foreign, f.Missed = l.Missing, l.Misordered, l.Duplicated, l.Foreign, l.Missed
	}
	if s := r.Storm; s != nil {
		f.Away = s.Conns - min(s.Conns, s.Back)
	}
	if r.Drops != nil {
		f.Missing = 0
	}
	if r.Deploy != nil {
		f.Missing, f.Missed, f.Lost = 0, 0, 0
	}
	return f
}

// Add adds up two counts.
func (f Faults) Add(g Faults) Faults {
	return Faults{
		Missing: f.Missing + g.Missing, Misordered: f.Misordered + g.Misordered, Duplicated: f.Duplicated + g.Duplicated,
		Foreign: f.Foreign + g.Foreign, Missed: f.Missed + g.Missed, Lost: f.Lost + g.Lost, Away: f.Away + g.Away,
	}
}

// Complete reports whether every message arrived, and no connection was lost.
func (f Faults) Complete() bool { return f.Missing == 0 && f.Lost == 0 && f.Away == 0 }

// String names what is not zero; "none" when all is.
func (f Faults) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		n    uint64
	}{
		{"missing", f.Missing}, {"out of order", f.Misordered}, {"twice", f.Duplicated}, {"unexpected", f.Foreign},
		{"sends missed", f.Missed}, {"connections lost", f.Lost}, {"connections not back", f.Away},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", thousands(int(p.n)), p.what))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
