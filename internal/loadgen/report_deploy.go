package loadgen

// Deployment is how clients fared while the servers were replaced one by one.
// Every message has its number, so that each client's are known.
type Deployment struct {
	Servers  int     `json:"servers"`
	Replaced int     `json:"replaced"`                // under load
	Kill     bool    `json:"kill"`                    // by SIGKILL, else by SIGTERM
	Drain    float64 `json:"drain_seconds,omitempty"` // that SIGTERM was given, when known
	Every    float64 `json:"every_seconds"`           // one was replaced

	// Expected is the messages to clients had all been connected all the time.
	Expected  uint64  `json:"expected"`
	Delivered uint64  `json:"delivered"`
	Percent   float64 `json:"delivered_percent"`
	Worst     float64 `json:"worst_client_percent"`
	Whole     int     `json:"clients_missing_nothing"`
	// Histogram is how many messages clients got, in up to 21 ranges.
	Histogram []GotRange `json:"histogram,omitempty"`

	Fallen      int     `json:"connections_lost"` // and reconnected, some more than once
	Returned    int     `json:"connections_returned"`
	Back        int     `json:"connected_at_the_end"`
	BackPercent float64 `json:"connected_percent"`
	Gap         Latency `json:"gap"`       // from the loss of a connection until back in namespace and room
	Reconnect   Latency `json:"reconnect"` // of that, the attempt that succeeded
	Recover     bool    `json:"recover"`   // clients asked for the session they had
	Recovered   int     `json:"recovered"` // and of those that returned, so many got it
	Passed      int     `json:"passed_by"` // servers that were not there, so that an attempt went on to the next
	Failed      int     `json:"failed_attempts"`
	FailedWhy   string  `json:"failed_why,omitempty"`
}

func (t *table) deployment(d *Deployment) {
	how := "SIGKILL"
	if !d.Kill {
		how = "SIGTERM"
		if d.Drain > 0 {
			how += ", drained over " + decimal(d.Drain) + " s"
		}
	}
	t.row("replaced", "%d of %d servers, one every %s s, by %s", d.Replaced, d.Servers, decimal(d.Every), how)
	t.row("delivered", "%.3f%% (%s of %s)", d.Percent, count(d.Delivered), count(d.Expected))
	t.row("clients missing nothing", "%s; the worst got %.2f%%", count(d.Whole), d.Worst)
	t.row("connections lost, returned", "%s, %s", count(d.Fallen), count(d.Returned))
	if d.Recover {
		t.row("sessions recovered", "%s of %s", count(d.Recovered), count(d.Returned))
	}
	t.row("connected at the end", "%.2f%%", d.BackPercent)
	t.latency("gap, ms", uint64(d.Returned), d.Gap)
	t.latency("time to reconnect, ms", uint64(d.Returned), d.Reconnect)
	t.row("servers passed by", "%s", count(d.Passed))
	t.failed(d.Failed, d.FailedWhy)
}
