package scenario

// Key identifies a metric.
type Key string

// The metrics.
const (
	Memory         Key = "memory"
	AcceptRate     Key = "accept rate"
	AcceptCPU      Key = "CPU per accept"
	Throughput     Key = "throughput"
	MessageCPU     Key = "CPU per message"
	DeliveryCPU    Key = "CPU per delivery"
	P50            Key = "p50"
	P99            Key = "p99"
	ServerCores    Key = "server cores"
	GeneratorCores Key = "generator cores"
	OtherCores     Key = "other cores"
)

// Metric is a figure in a report.
type Metric struct {
	Key  Key
	Name string // with its unit
	// Compared metrics are given as a ratio, too.
	Compared bool
	// Value reads the metric from a report that ParseReport returned.
	Value func(*Report) float64
}

// Metrics are the figures that count in s, the most telling first.
func (s Scenario) Metrics() []Metric {
	if s.Idle() {
		return []Metric{
			{Memory, "memory, KiB/connection", true, func(r *Report) float64 { return r.Memory.PerConnectionKiB }},
			{AcceptRate, "connections accepted/s", true, func(r *Report) float64 { return r.Accept.PerSecond }},
			{AcceptCPU, "server CPU, us/connection", true, func(r *Report) float64 { return r.Accept.ServerMicros }},
		}
	}
	plural, cpu := "messages", MessageCPU
	if s.mode == modeRooms {
		plural, cpu = "deliveries", DeliveryCPU
	}
	metrics := []Metric{
		{Throughput, plural + "/s", true, func(r *Report) float64 { return r.Load.PerSecond }},
		{cpu, "server CPU, us/" + s.message(), true, func(r *Report) float64 { return r.Load.Server.PerMessageMicros }},
		{P50, "p50, ms", true, func(r *Report) float64 { return r.Load.Latency.P50 }},
		{P99, "p99, ms", true, func(r *Report) float64 { return r.Load.Latency.P99 }},
		{ServerCores, "server, cores", false, func(r *Report) float64 { return r.Load.Server.Cores }},
		{GeneratorCores, "load generator, cores", false, func(r *Report) float64 { return r.Load.Generator.Cores }},
		{OtherCores, "other processes, cores", false, func(r *Report) float64 { return r.Load.OtherCores }},
	}
	if s.Rate > 0 {
		// Everybody carries the same: the ratio says nothing.
		metrics[0].Compared = false
	}
	return metrics
}
