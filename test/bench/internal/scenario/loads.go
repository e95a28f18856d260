package scenario

import (
	"fmt"
	"time"
)

// idle holds connections.
type idle struct{}

func (idle) title(Scenario) string { return " that do nothing" }

func (idle) args(_ Scenario, d time.Duration) []string {
	return []string{"--mode", "idle", "--settle", d.String()}
}

func (idle) metrics(Scenario) []Metric {
	return []Metric{
		{Memory, "memory, KiB/connection", true, func(r *Report) float64 { return r.Memory.PerConnectionKiB }},
		{AcceptRate, "connections accepted/s", true, func(r *Report) float64 { return r.Accept.PerSecond }},
		{AcceptCPU, "server CPU, us/connection", true, func(r *Report) float64 { return r.Accept.ServerMicros }},
	}
}

func (idle) lacks(r *Report) string {
	if r.Memory == nil {
		return "no memory"
	}
	return ""
}

// load is what the modes have in common that send for a time.
type load struct{}

func (load) args(s Scenario, d time.Duration, name string) []string {
	warmup := d / 4
	if s.long {
		warmup = d / 2
	}
	return append([]string{"--mode", name, "--duration", d.String(), "--warmup", warmup.String()}, s.shape()...)
}

// metrics are the figures of a load, whose unit has a name and a plural.
func (load) metrics(s Scenario, cpu Key, unit, units string) []Metric {
	return append([]Metric{
		// At a rate, everybody carries the same: the ratio says nothing.
		{Throughput, units + "/s", s.Rate == 0, func(r *Report) float64 { return r.Load.PerSecond }},
		{cpu, "server CPU, us/" + unit, true, func(r *Report) float64 { return r.Load.Server.PerMessageMicros }},
		{P50, "p50, ms", true, func(r *Report) float64 { return r.Load.Latency.P50 }},
		{P99, "p99, ms", true, func(r *Report) float64 { return r.Load.Latency.P99 }},
	}, coresOf(func(r *Report) Cores { return r.Load.Cores })...)
}

func (load) lacks(r *Report) string {
	if r.Load == nil || r.Load.Server == nil {
		return "no load, or no CPU time of the servers"
	}
	return ""
}

// echo sends, and waits for acknowledgements.
type echo struct{ load }

func (echo) title(Scenario) string { return ", each sends and waits for the acknowledgement" }

func (m echo) args(s Scenario, d time.Duration) []string { return m.load.args(s, d, "echo") }

func (m echo) metrics(s Scenario) []Metric {
	return m.load.metrics(s, MessageCPU, "message", "messages")
}

// direct sends from one socket to one other, on another node.
type direct struct{ load }

func (direct) title(Scenario) string {
	return " in pairs on different nodes, each sends to its partner's id, saturated"
}

func (m direct) args(s Scenario, d time.Duration) []string { return m.load.args(s, d, "direct") }

func (m direct) metrics(s Scenario) []Metric {
	return m.load.metrics(s, MessageCPU, "message", "messages")
}

// rooms sends to rooms, saturated or at a rate.
type rooms struct{ load }

func (rooms) title(s Scenario) string {
	if s.Rate == 0 {
		return s.inRooms() + ", saturated"
	}
	return s.inRooms() + fmt.Sprintf(", %s deliveries/s", thousands(int(s.Rate)))
}

func (m rooms) args(s Scenario, d time.Duration) []string { return m.load.args(s, d, "rooms") }

func (m rooms) metrics(s Scenario) []Metric {
	return m.load.metrics(s, DeliveryCPU, "delivery", "deliveries")
}
