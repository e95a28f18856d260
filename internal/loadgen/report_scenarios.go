package loadgen

// Polling tells the transports of a run apart: a message counts for the
// transport of the connection that got it.
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
	t.latency("polling latency, ms", p.Messages, p.Latency)
	t.latency("WebSocket latency, ms", p.WebSocketMessages, p.WebSocketLatency)
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
	Return    Latency  `json:"time_to_return"`
	Failed    int      `json:"failed_attempts"` // refused, cut or expired; all were retried
	FailedWhy string   `json:"failed_why,omitempty"`
	Server    *CPU     `json:"server_cpu,omitempty"`
	Generator CPU      `json:"generator_cpu"`
	PeakKiB   int64    `json:"peak_kib,omitempty"` // resident memory of the servers, looked at 20 times a second
	Series    []Second `json:"series"`
}

func (t *table) storm(s *Reconnection) {
	t.row("cut, by", "%s, %s", count(s.Conns), s.Cut)
	t.row("back", "%s in %s s: %s/s", count(s.Back), decimal(s.Seconds), count(s.PerSecond))
	t.latency("time to return, ms", uint64(s.Back), s.Return)
	t.failed(s.Failed, s.FailedWhy)
	t.cpu("server CPU", s.Server, "return")
	t.cpu("generator CPU", &s.Generator, "return")
	if s.Server != nil {
		t.row("peak memory", "%s KiB", count(s.PeakKiB))
	}
}

func (t *table) failed(n int, why string) {
	if n == 0 {
		t.row("failed attempts", "0")
		return
	}
	t.row("failed attempts", "%s, tried again (%s)", count(n), why)
}
