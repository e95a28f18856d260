package loadgen

import (
	"fmt"
	"slices"
)

// Polling tells the transports of a run apart: a message counts for the
// transport of the connection that got it. In Storm, returns take the place of
// messages, and the time to return that of the latency.
type Polling struct {
	Conns             int     `json:"connections"` // on HTTP long-polling
	WebSocketConns    int     `json:"websocket_connections"`
	Messages          uint64  `json:"messages"` // measured, also behind the end of the measured part
	WebSocketMessages uint64  `json:"websocket_messages"`
	Latency           Latency `json:"latency"`
	WebSocketLatency  Latency `json:"websocket_latency"`
}

func (t *table) polling(p *Polling) {
	t.row("transports", "%s on polling, %s on WebSocket", count(p.Conns), count(p.WebSocketConns))
	t.latency("  on polling, ms", p.Messages, p.Latency)
	t.latency("  on WebSocket, ms", p.WebSocketMessages, p.WebSocketLatency)
}

// latency writes nothing when there was nothing to measure.
func (t *table) latency(name string, n uint64, q Latency) {
	if n == 0 {
		return
	}
	t.row(name, "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s",
		decimal(q.P50), decimal(q.P90), decimal(q.P99), decimal(q.P999), decimal(q.Max))
}

// Reconnection is what came of cutting all connections at once.
type Reconnection struct {
	Cut   Cut     `json:"cut"`
	Delay float64 `json:"reconnect_delay_seconds"` // the first, give or take a half
	Conns int     `json:"connections"`             // that were cut
	Back  int     `json:"back"`                    // at the end, in namespace and room
	// Seconds is the time from the cut until the last was back, or until
	// Config.Duration was over.
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"` // connections back, from when the first was opened
	// Return is the time from a connection's cut until it was back in
	// namespace and room.
	Return    Latency `json:"time_to_return"`
	Failed    int     `json:"failed_attempts"` // refused, cut or expired; all were retried
	FailedWhy string  `json:"failed_why,omitempty"`
	Server    *CPU    `json:"server_cpu,omitempty"`
	Generator CPU     `json:"generator_cpu"`
	// OtherCores is what everything else on the machine took meanwhile, with
	// Config.PIDs.
	OtherCores float64  `json:"other_cores"`
	PeakKiB    int64    `json:"peak_kib,omitempty"` // resident memory of the servers, looked at 20 times a second
	Series     []Second `json:"series"`             // 10 a second, fewer in a run of more than a minute
}

func (t *table) storm(s *Reconnection) {
	t.row("cut, by", "%s, %s", count(s.Conns), s.Cut)
	t.row("back", "%s in %s s: %s/s", count(s.Back), decimal(s.Seconds), count(s.PerSecond))
	t.latency("time to return, ms", uint64(s.Back), s.Return)
	t.failed(s.Failed, s.FailedWhy)
	t.cpu("server CPU", s.Server, "return")
	t.cpu("generator CPU", &s.Generator, "return")
	if s.Server != nil {
		t.row("other processes", "%.2f cores", s.OtherCores)
		t.row("peak memory", "%s KiB", count(s.PeakKiB))
	}
}

// Delivery is what clients got whose connections were cut again and again.
// What came late, twice or in the wrong order is in Load.
type Delivery struct {
	Clients      int     `json:"clients"`  // that were cut: all but one a room
	Messages     int     `json:"messages"` // to be sent to each room
	MessageEvery float64 `json:"message_every_seconds"`
	DropEvery    float64 `json:"drop_every_seconds"`
	DropFor      float64 `json:"drop_for_seconds"`
	Cut          Cut     `json:"cut"`

	Expected  uint64     `json:"expected"` // had no client been cut
	Delivered uint64     `json:"delivered"`
	Percent   float64    `json:"delivered_percent"`
	Min       int        `json:"min"` // messages that a client got
	Median    int        `json:"median"`
	Mean      float64    `json:"mean"`
	Max       int        `json:"max"`
	Histogram []GotRange `json:"histogram"`

	Cuts      int     `json:"cuts"`
	Returned  int     `json:"returned"`
	Recovered int     `json:"recovered"`       // of them, sessions that the server had kept
	Failed    int     `json:"failed_attempts"` // to return; all were tried again
	FailedWhy string  `json:"failed_why,omitempty"`
	Return    Latency `json:"time_to_return"` // from the cut until back in namespace and room
}

// GotRange is how many clients got From to To messages.
type GotRange struct {
	From    int `json:"from"`
	To      int `json:"to"`
	Clients int `json:"clients"`
}

// got fills in what is known from how many messages each client got. It sorts
// the numbers.
func (d *Delivery) got(numbers []int) {
	if len(numbers) == 0 {
		return
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		d.Delivered += uint64(n)
	}
	d.Histogram = ranges(numbers, max(1, (d.Messages+19)/20))
	d.Min, d.Max, d.Median = numbers[0], numbers[len(numbers)-1], numbers[len(numbers)/2]
	d.Mean = float64(d.Delivered) / float64(len(numbers))
	if d.Expected > 0 {
		d.Percent = 100 * float64(d.Delivered) / float64(d.Expected)
	}
}

// ranges counts sorted numbers in ranges of a width. Ranges without any are
// left out.
func ranges(numbers []int, width int) (list []GotRange) {
	for _, n := range numbers {
		from := n / width * width
		if k := len(list); k == 0 || list[k-1].From != from {
			list = append(list, GotRange{From: from, To: from + width - 1})
		}
		list[len(list)-1].Clients++
	}
	return list
}

func (t *table) delivery(d *Delivery) {
	t.row("clients cut", "%s, by %s, every %s s for %s s: %s times",
		count(d.Clients), d.Cut, decimal(d.DropEvery), decimal(d.DropFor), count(d.Cuts))
	t.row("returned", "%s, sessions recovered %s", count(d.Returned), count(d.Recovered))
	t.latency("time to return, ms", uint64(d.Returned), d.Return)
	t.failed(d.Failed, d.FailedWhy)
	t.row("delivered", "%.2f%% (%s of %s)", d.Percent, count(d.Delivered), count(d.Expected))
	t.row(fmt.Sprintf("each got, of %s", count(d.Messages)), "min %s  median %s  mean %s  max %s",
		count(d.Min), count(d.Median), decimal(d.Mean), count(d.Max))
	for _, h := range d.Histogram {
		t.row(fmt.Sprintf("  %d to %d", h.From, h.To), "%s clients", count(h.Clients))
	}
}

func (t *table) failed(n int, why string) {
	if n == 0 {
		t.row("failed attempts", "0")
		return
	}
	t.row("failed attempts", "%s, tried again (%s)", count(n), why)
}
