package scenario

import (
	"encoding/json"
	"errors"
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
	Load *Load `json:"load"`
	Lost int   `json:"lost_connections"`
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
	Latency    struct {
		P50 float64 `json:"p50_ms"`
		P99 float64 `json:"p99_ms"`
	} `json:"latency"`
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
	var missing error
	switch {
	case s.Idle() && r.Memory == nil:
		missing = errors.New("no memory")
	case !s.Idle() && (r.Load == nil || r.Load.Server == nil):
		missing = errors.New("no load, or no CPU time of the servers")
	}
	if missing != nil {
		return nil, fmt.Errorf("socketeer: report of %s: %w", s.Name, missing)
	}
	return r, nil
}

// DisturbedAbove is how many cores other processes may take before a run
// counts as disturbed.
const DisturbedAbove = 0.15

// Disturbed reports whether other processes took too much of the machine
// while the load was measured. Of an idle run it is not known.
func (r *Report) Disturbed() bool { return r.Load != nil && r.Load.OtherCores > DisturbedAbove }

// Faults counts what went wrong in one run or in several.
type Faults struct {
	Missing, Misordered, Duplicated, Foreign, Missed, Lost uint64
}

// Faults returns what went wrong.
func (r *Report) Faults() Faults {
	f := Faults{Lost: uint64(r.Lost)}
	if l := r.Load; l != nil {
		f.Missing, f.Misordered, f.Duplicated, f.Foreign, f.Missed = l.Missing, l.Misordered, l.Duplicated, l.Foreign, l.Missed
	}
	return f
}

// Add adds up two counts.
func (f Faults) Add(g Faults) Faults {
	return Faults{
		Missing: f.Missing + g.Missing, Misordered: f.Misordered + g.Misordered, Duplicated: f.Duplicated + g.Duplicated,
		Foreign: f.Foreign + g.Foreign, Missed: f.Missed + g.Missed, Lost: f.Lost + g.Lost,
	}
}

// Complete reports whether every message arrived, and no connection was lost.
func (f Faults) Complete() bool { return f.Missing == 0 && f.Lost == 0 }

// String names what is not zero; "none" when all is.
func (f Faults) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		n    uint64
	}{
		{"missing", f.Missing}, {"out of order", f.Misordered}, {"twice", f.Duplicated}, {"unexpected", f.Foreign},
		{"sends missed", f.Missed}, {"connections lost", f.Lost},
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
