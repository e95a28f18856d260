package scenario

// Key identifies a metric.
type Key string

// The metrics.
const (
	Memory         Key = "memory"
	PeakMemory     Key = "peak memory"
	AcceptRate     Key = "accept rate"
	AcceptCPU      Key = "CPU per accept"
	Throughput     Key = "throughput"
	MessageCPU     Key = "CPU per message"
	DeliveryCPU    Key = "CPU per delivery"
	ReturnCPU      Key = "CPU per return"
	P50            Key = "p50"
	P99            Key = "p99"
	AllBack        Key = "time until all are back"
	ReconnectP50   Key = "p50 of reconnecting"
	ReconnectP99   Key = "p99 of reconnecting"
	Delivered      Key = "delivered"
	Undelivered    Key = "missed"
	WorstClient    Key = "least a client got"
	Recovered      Key = "sessions recovered"
	Fallen         Key = "connections lost"
	Back           Key = "back at the end"
	FailedAttempts Key = "failed attempts"
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
func (s Scenario) Metrics() []Metric { return s.mode.metrics(s) }

// coresOf are the figures about who took how much of the machine.
func coresOf(of func(*Report) Cores) []Metric {
	return []Metric{
		{ServerCores, "server, cores", false, func(r *Report) float64 { return of(r).Server.Cores }},
		{GeneratorCores, "load generator, cores", false, func(r *Report) float64 { return of(r).Generator.Cores }},
		{OtherCores, "other processes, cores", false, func(r *Report) float64 { return of(r).OtherCores }},
	}
}
