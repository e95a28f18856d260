package scenario

import (
	"fmt"
	"strconv"
	"time"
)

// What the modes take in which clients are cut and come back.
const (
	// stormLimit is how long a storm's connections are waited for.
	stormLimit = 30 * time.Second
	// dropEvery and dropFor are how often a client is cut, and for how long.
	dropEvery, dropFor = 15 * time.Second, 2 * time.Second
	// messageEvery is how often a room gets a message in drops.
	messageEvery = 500 * time.Millisecond
	// dropsTimes is how much longer drops takes than other loads: by default
	// long enough for each client to be cut.
	dropsTimes = 8
	// everyTimes is the time from one replacement to the next, of that of other
	// loads; half of it is given to a node to send its clients away.
	everyTimes = 2
)

// storm cuts all connections at once.
type storm struct{}

func (storm) title(s Scenario) string {
	return s.inRooms() + ", cut at once, that come back after 0.5 to 1.5 s"
}

func (storm) args(s Scenario, d time.Duration) []string {
	return append([]string{"--mode", "storm", "--settle", (d / 4).String(), "--duration", stormLimit.String()}, s.shape()...)
}

func (storm) metrics(Scenario) []Metric {
	return append([]Metric{
		{AllBack, "all back after, s", true, func(r *Report) float64 { return r.Storm.Seconds }},
		{P50, "time to return p50, ms", true, func(r *Report) float64 { return r.Storm.Return.P50 }},
		{P99, "time to return p99, ms", true, func(r *Report) float64 { return r.Storm.Return.P99 }},
		{ReturnCPU, "server CPU, us/return", true, func(r *Report) float64 { return r.Storm.Server.PerMessageMicros }},
		{PeakMemory, "peak memory, MiB", true, func(r *Report) float64 { return r.Storm.PeakKiB / 1024 }},
		{FailedAttempts, "failed attempts", false, func(r *Report) float64 { return r.Storm.Failed }},
	}, coresOf(func(r *Report) Cores { return r.Storm.Cores })...)
}

func (storm) lacks(r *Report) string {
	if r.Storm == nil || r.Storm.Server == nil {
		return "no storm, or no CPU time of the servers"
	}
	return ""
}

// drops cuts each client again and again while messages are sent.
type drops struct{}

func (drops) title(s Scenario) string {
	return s.inRooms() + fmt.Sprintf(", a message every %v; each client but the sender is cut every %v for %v", messageEvery, dropEvery, dropFor)
}

func (drops) args(s Scenario, d time.Duration) []string {
	messages := max(1, int(dropsTimes*d/messageEvery))
	return append([]string{
		"--mode", "drops", "--recover", "--messages", strconv.Itoa(messages), "--message-every", messageEvery.String(),
		"--drop-every", dropEvery.String(), "--drop-for", dropFor.String(), "--drain", (dropFor + time.Second).String(),
	}, s.shape()...)
}

func (drops) metrics(Scenario) []Metric {
	return append([]Metric{
		{Delivered, "delivered, %", false, func(r *Report) float64 { return r.Drops.Percent }},
		{Undelivered, "missed, %", true, func(r *Report) float64 { return 100 - r.Drops.Percent }},
		{WorstClient, "the worst client got, %", true, func(r *Report) float64 { return percent(r.Drops.Min, r.Drops.Messages) }},
		{Recovered, "returns with a session recovered, %", false, func(r *Report) float64 { return percent(r.Drops.Recovered, r.Drops.Returned) }},
		{DeliveryCPU, "server CPU, us/delivery", true, func(r *Report) float64 { return r.Load.Server.PerMessageMicros }},
		{FailedAttempts, "failed attempts", false, func(r *Report) float64 { return r.Drops.Failed }},
	}, coresOf(func(r *Report) Cores { return r.Load.Cores })...)
}

func (drops) lacks(r *Report) string {
	if r.Drops == nil {
		return "nothing about what clients got"
	}
	return load{}.lacks(r)
}

// percent returns a part of a whole; 0 when there is none.
func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}

// deploy replaces the servers one by one, by SIGTERM or by SIGKILL.
type deploy struct{ kill bool }

func (m deploy) title(s Scenario) string {
	how := "SIGTERM"
	if m.kill {
		how = "SIGKILL"
	}
	return rooms{}.title(s) + "; the nodes are replaced one by one, by " + how
}

func (m deploy) args(s Scenario, d time.Duration) []string {
	every := everyTimes * d
	args := append([]string{"--nodes", strconv.Itoa(s.Nodes)}, s.shape()...)
	args = append(args, "--every", every.String(), "--drain", (every / 2).String(), "--warmup", (d / 4).String())
	if m.kill {
		args = append(args, "--kill")
	}
	return args
}

func (deploy) metrics(Scenario) []Metric {
	return append([]Metric{
		{Delivered, "delivered, %", false, func(r *Report) float64 { return r.Deploy.Percent }},
		{Undelivered, "missed, %", true, func(r *Report) float64 { return 100 - r.Deploy.Percent }},
		{P50, "gap p50, ms", true, func(r *Report) float64 { return r.Deploy.Gap.P50 }},
		{P99, "gap p99, ms", true, func(r *Report) float64 { return r.Deploy.Gap.P99 }},
		{ReconnectP50, "time to reconnect p50, ms", true, func(r *Report) float64 { return r.Deploy.Reconnect.P50 }},
		{ReconnectP99, "time to reconnect p99, ms", true, func(r *Report) float64 { return r.Deploy.Reconnect.P99 }},
		{Recovered, "returns with a session recovered, %", false, func(r *Report) float64 { return percent(r.Deploy.Recovered, r.Deploy.Returned) }},
		{Fallen, "connections lost", false, func(r *Report) float64 { return r.Deploy.Fallen }},
		{Back, "back at the end, %", false, func(r *Report) float64 { return r.Deploy.Back }},
		{FailedAttempts, "failed attempts", false, func(r *Report) float64 { return r.Deploy.Failed }},
		{DeliveryCPU, "server CPU, us/delivery", true, func(r *Report) float64 { return r.Load.Server.PerMessageMicros }},
	}, coresOf(func(r *Report) Cores { return r.Load.Cores })...)
}

func (deploy) lacks(r *Report) string {
	if r.Deploy == nil {
		return "no deployment"
	}
	return load{}.lacks(r)
}
