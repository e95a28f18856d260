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
