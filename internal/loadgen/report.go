package loadgen

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is the outcome of a run. Its JSON form is stable.
type Report struct {
	Origin *Origin `json:"origin,omitempty"` // when whoever made the run has said

	Mode     Mode     `json:"mode"`
	Addrs    []string `json:"addrs"`
	Conns    int      `json:"conns"`
	Room     int      `json:"room,omitempty"`     // members a room
	Rooms    int      `json:"rooms,omitempty"`    // number of rooms
	Rate     float64  `json:"rate,omitempty"`     // deliveries or messages a second asked for; 0: saturated
	Inflight int      `json:"inflight,omitempty"` // per connection or room, when saturated
	To       string   `json:"to,omitempty"`       // in Direct: "socket" or "user", and " on another server"
	Payload  int      `json:"payload_bytes"`
	Loops    int      `json:"loops"` // a process
	// Processes is how many processes the load came from, when several.
	Processes int `json:"processes,omitempty"`

	Accept Accept  `json:"accept"`
	Memory *Memory `json:"memory,omitempty"` // with Config.PIDs or Servers
	Hold   *Hold   `json:"hold,omitempty"`   // in Idle, with a duration
	// Series is the course of Idle, from when the first connection was opened
	// until the end: 10 steps a second, fewer in a run of more than a minute.
	Series []Second `json:"series,omitempty"`
	Load   *Load    `json:"load,omitempty"` // in the modes with a load

	Storm   *Reconnection `json:"storm,omitempty"`   // in Storm
	Drops   *Delivery     `json:"drops,omitempty"`   // in Drops
	Deploy  *Deployment   `json:"deploy,omitempty"`  // in Deploy
	Polling *Polling      `json:"polling,omitempty"` // with Config.Polling

	Lost    int    `json:"lost_connections"`
	LostWhy string `json:"lost_why,omitempty"` // the first of them
}

// Accept says how fast the connections came in, from the first SYN until the
// last was in the namespace.
type Accept struct {
	Seconds         float64 `json:"seconds"`
	PerSecond       float64 `json:"per_second"`
	ServerMicros    float64 `json:"server_cpu_us,omitempty"` // per connection
	GeneratorMicros float64 `json:"generator_cpu_us"`        // per connection
}

// Memory is the resident set of the server processes, summed.
type Memory struct {
	BeforeKiB        int64   `json:"before_kib"`         // before the first connection
	ConnectedKiB     int64   `json:"connected_kib"`      // all set up; in Idle after Config.Settle
	AfterKiB         int64   `json:"after_kib"`          // at the end, still connected; in Deploy of the servers there are then
	PerConnectionKiB float64 `json:"per_connection_kib"` // (connected - before) / connections
}

// Hold is what it took to do nothing but heartbeats.
type Hold struct {
	Seconds   float64 `json:"seconds"`
	Pings     uint64  `json:"pings"`
	Server    *CPU    `json:"server_cpu,omitempty"`
	Generator CPU     `json:"generator_cpu"`
}

// Load is what the measured part of a run carried. A message is an
// acknowledged echo, or one delivery to one member of a room.
type Load struct {
	Seconds   float64 `json:"seconds"`
	Sent      uint64  `json:"sent"`     // due in the measured part, as Missed
	Messages  uint64  `json:"messages"` // arrived in the measured part
	PerSecond float64 `json:"per_second"`
	Missed    uint64  `json:"missed_sends"`

	// Of the whole run, warm-up included, after waiting for stragglers.
	Expected   uint64 `json:"expected"`
	Received   uint64 `json:"received"` // each once
	Missing    uint64 `json:"missing"`
	Misordered uint64 `json:"misordered"`
	Duplicated uint64 `json:"duplicated"`
	Foreign    uint64 `json:"foreign"` // messages this run did not ask for

	Latency   Latency `json:"latency"`
	Server    *CPU    `json:"server_cpu,omitempty"`
	Generator CPU     `json:"generator_cpu"`
	// OtherCores is what everything else on the machine took meanwhile, with
	// Config.PIDs or Servers. Unless it is near 0, the figures say little.
	OtherCores float64  `json:"other_cores"`
	Series     []Second `json:"series"`
}

// Latency is in milliseconds, from the time a message was due (with a rate)
// or sent (saturated) until it was read.
type Latency struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// CPU is processor time taken during a measured part.
type CPU struct {
	Seconds          float64 `json:"seconds"`
	Cores            float64 `json:"cores"`
	PerMessageMicros float64 `json:"per_message_us,omitempty"`
}

// Second is one step of a run's course: a second of a load, less of a storm and
// of connections that do nothing.
type Second struct {
	At             float64 `json:"at_seconds"`            // its end, since the load began, warm-up included; in Storm since the cut
	PerSecond      float64 `json:"per_second"`            // messages; in Storm connections that came back, in Idle those accepted
	Conns          int     `json:"connections,omitempty"` // in Idle: connections there are
	Back           int     `json:"back,omitempty"`        // in Storm: connections that are back
	Away           int     `json:"away,omitempty"`        // in Drops and Deploy: connections that are not there
	P50            float64 `json:"p50_ms"`                // 0 during the warm-up and in Storm and Idle, as is P99
	P99            float64 `json:"p99_ms"`
	ServerCores    float64 `json:"server_cores,omitempty"`
	ServerKiB      int64   `json:"server_kib,omitempty"`
	GeneratorCores float64 `json:"generator_cores"`
}

// Progress is what a run tells while it goes on.
type Progress struct {
	Phase string        // "connect", "settle", "hold", "warm-up", "measure", "drain", "storm"
	Since time.Duration // since the run began
	Conns int           // connections in the namespace; in "storm", those that came back
	Of    int           // connections wanted
	Rate  float64       // connections, then messages, in the last second
	Sent  uint64        // so far

	Missed, Missing uint64        // sends missed, deliveries outstanding
	P50, P99        time.Duration // of the last second
	Lost            int
	Failed          int // attempts to come back
	Away            int // connections cut or lost that are not back
	ServerCores     float64
	ServerKiB       int64
	GeneratorCores  float64
}

// String returns p as one line.
func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%4.0fs %-8s", p.Since.Seconds(), p.Phase)
	switch p.Phase {
	case "connect":
		fmt.Fprintf(&b, " %s of %s, %s/s", count(p.Conns), count(p.Of), count(p.Rate))
	case "settle", "hold":
		fmt.Fprintf(&b, " %s connected", count(p.Conns))
	case "storm":
		fmt.Fprintf(&b, " %s of %s back, %s/s", count(p.Conns), count(p.Of), count(p.Rate))
		if p.Failed > 0 {
			fmt.Fprintf(&b, ", failed attempts %s", count(p.Failed))
		}
	default:
		fmt.Fprintf(&b, " %s/s", count(p.Rate))
		if p.P99 > 0 {
			fmt.Fprintf(&b, ", p50 %s p99 %s ms", decimal(ms(p.P50)), decimal(ms(p.P99)))
		}
		fmt.Fprintf(&b, ", outstanding %s", count(p.Missing))
		if p.Missed > 0 {
			fmt.Fprintf(&b, ", missed sends %s", count(p.Missed))
		}
	}
	if p.Away > 0 && p.Phase != "storm" {
		fmt.Fprintf(&b, ", away %s", count(p.Away))
	}
	if p.Lost > 0 {
		fmt.Fprintf(&b, ", lost connections %s", count(p.Lost))
	}
	if p.ServerKiB > 0 {
		fmt.Fprintf(&b, " | server %.2f cores %s MiB", p.ServerCores, count(p.ServerKiB>>10))
	}
	fmt.Fprintf(&b, " | generator %.2f cores", p.GeneratorCores)
	return b.String()
}

// Row is a line of a report for people.
type Row struct{ Name, Value string }

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	for _, row := range r.Rows() {
		fmt.Fprintf(&b, "%-28s %s\n", row.Name, row.Value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Rows returns the report for people, line by line. The first says what was
// run.
func (r *Report) Rows() []Row {
	t := table{}
	what := "message"
	if r.Rooms > 0 {
		what = "delivery"
	}
	t.row("mode", "%s", r.title())
	t.row("servers", "%s", strings.Join(r.Addrs, ", "))
	if r.Processes > 1 {
		t.row("load comes from", "%d processes", r.Processes)
	}
	a := r.Accept
	t.row("connected", "%s in %s s: %s/s", count(r.Conns), decimal(a.Seconds), count(a.PerSecond))
	if a.ServerMicros > 0 {
		t.row("CPU per connection accepted", "server %s us, generator %s us", decimal(a.ServerMicros), decimal(a.GeneratorMicros))
	}
	if m := r.Memory; m != nil {
		if m.PerConnectionKiB > 0 {
			t.row("memory per connection", "%s KiB (%s KiB before, %s connected)",
				decimal(m.PerConnectionKiB), count(m.BeforeKiB), count(m.ConnectedKiB))
		} else {
			t.row("memory per connection", "- (%s KiB before, %s connected: served from what was left of before; start the server afresh)",
				count(m.BeforeKiB), count(m.ConnectedKiB))
		}
		t.row("memory at the end", "%s KiB", count(m.AfterKiB))
	}
	if h := r.Hold; h != nil {
		t.row("held", "%s s, %s heartbeats", decimal(h.Seconds), count(h.Pings))
		t.cpu("server CPU", h.Server, "")
		t.cpu("generator CPU", &h.Generator, "")
	}
	if l := r.Load; l != nil {
		t.load(l, what)
	}
	if r.Storm != nil {
		t.storm(r.Storm)
	}
	if r.Drops != nil {
		t.delivery(r.Drops)
	}
	if r.Deploy != nil {
		t.deployment(r.Deploy)
	}
	if r.Polling != nil {
		t.polling(r.Polling)
	}
	if lost := r.unreturned(); lost > 0 {
		t.row("lost connections", "%s (%s)", count(lost), r.LostWhy)
	}
	return t
}

// unreturned is how many connections were lost for good. Those that a server
// took with it in Deploy came back: they are told of there.
func (r *Report) unreturned() int {
	if r.Deploy != nil {
		return r.Lost - r.Deploy.Fallen
	}
	return r.Lost
}

func (r *Report) title() string {
	s := string(r.Mode)
	switch r.Mode {
	case Rooms, Drops, Deploy:
		s += fmt.Sprintf(", %s of %s", count(r.Rooms), count(r.Room))
	case Broadcast:
		s += fmt.Sprintf(" to %s", count(r.Room))
	case Direct:
		s += " to one " + r.To
	case Storm:
		return s + fmt.Sprintf(", rooms of %s", count(r.Room))
	case Idle:
		return s
	}
	if r.Rate > 0 {
		s += fmt.Sprintf(", %s/s asked for", count(r.Rate))
	} else {
		s += fmt.Sprintf(", saturated with %s in flight", count(r.Inflight))
	}
	return s + fmt.Sprintf(", %d bytes", r.Payload)
}

type table []Row

func (t *table) row(name, format string, args ...any) {
	*t = append(*t, Row{name, fmt.Sprintf(format, args...)})
}

func (t *table) load(l *Load, what string) {
	t.row("throughput", "%s/s (%s in %s s)", count(l.PerSecond), count(l.Messages), decimal(l.Seconds))
	t.row("sent", "%s, missed %s", count(l.Sent), count(l.Missed))
	t.row("missing", "%s of %s", count(l.Missing), count(l.Expected))
	t.row("out of order, twice", "%s, %s", count(l.Misordered), count(l.Duplicated))
	if l.Foreign > 0 {
		t.row("unexpected messages", "%s", count(l.Foreign))
	}
	t.latency("latency, ms", l.Messages, l.Latency)
	t.cpu("server CPU", l.Server, what)
	t.cpu("generator CPU", &l.Generator, what)
	if l.Server != nil {
		t.row("other processes", "%.2f cores", l.OtherCores)
	}
}

func (t *table) cpu(name string, c *CPU, what string) {
	switch {
	case c == nil:
	case what == "":
		t.row(name, "%.3f cores", c.Cores)
	default:
		t.row(name, "%s us per %s, %.2f cores", decimal(c.PerMessageMicros), what, c.Cores)
	}
}

// Count writes a whole number as the rows do: with commas.
func Count(n float64) string { return count(n) }

// count writes a whole number with commas.
func count[T int | int64 | uint64 | float64](n T) string {
	s := strconv.FormatFloat(math.Round(float64(n)), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Decimal writes a number as the rows do: three digits, more only before the
// point.
func Decimal(v float64) string { return decimal(v) }

// decimal writes three digits, more only before the point.
func decimal(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return count(v)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Latency{
		Mean: h.Mean() / 1000, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000,
	}
}

func newCPU(spent time.Duration, seconds float64, messages uint64) CPU {
	c := CPU{Seconds: spent.Seconds(), Cores: spent.Seconds() / seconds}
	if messages > 0 {
		c.PerMessageMicros = spent.Seconds() * 1e6 / float64(messages)
	}
	return c
}
