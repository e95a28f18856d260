package scenario

import (
	"fmt"
	"strings"

	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

// Target is what the ratio of our figure to a peer's must be.
type Target struct {
	Scenario string
	Metric   Key
	Ours     string // which of our servers; empty: the one called so
	Peer     string
	AtLeast  bool // the ratio may be at least Limit; otherwise at most
	Limit    float64
	// Complete asks for all messages of ours to arrive, too.
	Complete bool
}

// Targets returns what the comparison must show, in the order of All.
func Targets() []Target {
	return []Target{
		{Scenario: "idle", Metric: Memory, Peer: "uws", Limit: 0.75},
		{Scenario: "idle", Metric: AcceptRate, Peer: "uws", AtLeast: true, Limit: 1.5},
		{Scenario: "echo", Metric: Throughput, Peer: "uws", AtLeast: true, Limit: 1.6},
		{Scenario: "echo", Metric: MessageCPU, Peer: "uws", Limit: 0.6},
		{Scenario: "echo", Metric: Throughput, Peer: "ws", AtLeast: true, Limit: 3},
		{Scenario: "rooms", Metric: DeliveryCPU, Peer: "uws", Limit: 1},
		{Scenario: "broadcast", Metric: DeliveryCPU, Peer: "uws", Limit: 1},
		{Scenario: "paced", Metric: P99, Peer: "uws", Limit: 1, Complete: true},
		{Scenario: "cluster-paced", Metric: DeliveryCPU, Ours: "ours-redis", Peer: "uws-redis", Limit: 0.6},
		{Scenario: "cluster-paced", Metric: DeliveryCPU, Ours: "ours-streams", Peer: "ws-streams", Limit: 0.5},
		{Scenario: "cluster-rooms", Metric: DeliveryCPU, Ours: "ours-redis", Peer: "uws-redis", Limit: 0.6},
		{Scenario: "cluster-rooms", Metric: DeliveryCPU, Ours: "ours-streams", Peer: "ws-streams", Limit: 0.5},
		{Scenario: "cluster-pairs", Metric: DeliveryCPU, Peer: "uws-redis", Limit: 0.25},
		{Scenario: "cluster-pairs", Metric: DeliveryCPU, Ours: "ours-nats", Peer: "uws-redis", Limit: 0.25},
		{Scenario: "cluster-pairs", Metric: DeliveryCPU, Ours: "ours-redis", Peer: "uws-redis", Limit: 0.35},
		{Scenario: "cluster-pairs", Metric: DeliveryCPU, Ours: "ours-sharded", Peer: "uws-redis", Limit: 0.25},
		{Scenario: "cluster-pairs", Metric: DeliveryCPU, Ours: "ours-streams", Peer: "ws-streams", Limit: 0.5},
	}
}

// String describes t: "echo: throughput at least 1.6x uws".
func (t Target) String() string {
	bound := "at most"
	if t.AtLeast {
		bound = "at least"
	}
	subject := t.Scenario
	if t.Ours != "" {
		subject += ", " + t.Ours
	}
	text := fmt.Sprintf("%s: %s %s %gx %s", subject, t.Metric, bound, t.Limit, t.Peer)
	if t.Complete {
		text += ", nothing missing"
	}
	return text
}

// Verdict is how a target came out.
type Verdict struct {
	Measured bool
	Met      bool
	// Why adds what a reader must know; it may be empty.
	Why string
}

// Judge compares the ratios of all rounds, and what went wrong with ours,
// with the target. The median decides.
func (t Target) Judge(ratios stat.Summary, ours Faults) Verdict {
	if ratios.N == 0 {
		return Verdict{}
	}
	v := Verdict{Measured: true, Met: t.within(ratios.Median)}
	var why []string
	if t.within(ratios.Min) != t.within(ratios.Max) {
		why = append(why, "not in all rounds")
	}
	if t.Complete && !ours.Complete() {
		v.Met = false
		why = append(why, "ours: "+ours.String())
	}
	v.Why = strings.Join(why, "; ")
	return v
}

func (t Target) within(ratio float64) bool {
	if t.AtLeast {
		return ratio >= t.Limit
	}
	return ratio <= t.Limit
}

// String is "met", "NOT MET" or "not measured".
func (v Verdict) String() string {
	switch {
	case !v.Measured:
		return "not measured"
	case v.Met:
		return "met"
	}
	return "NOT MET"
}
