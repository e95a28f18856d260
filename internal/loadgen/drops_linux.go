package loadgen

// dropFrom plans when each client of the loop is cut first: one after another,
// evenly over the time between two cuts of the same client.
func (l *loop) dropFrom(start int64) {
	l.returning = true
	all := float64(len(l.conns) * l.of)
	for i := range l.conns {
		if c := &l.conns[i]; c.slot < 0 {
			part := float64(i*l.of+l.number) / all
			l.agenda.add(appointment{at: start + int64(part*float64(l.cfg.DropEvery)), conn: c.local, duty: drop})
		}
	}
}

// drop cuts a client, unless it is not back from the last time, and plans when
// it is cut next, as long as there are messages to miss.
func (l *loop) drop(c *conn, p appointment, now int64) {
	if now >= l.measure.end {
		return
	}
	if c.state == ready {
		l.cut(c, now, l.cfg.DropFor)
	}
	p.at += int64(l.cfg.DropEvery)
	l.agenda.add(p)
}

// delivery reports what the clients got. The loops have ended.
func (r *run) delivery(t tally) *Delivery {
	d := &Delivery{
		Messages: r.cfg.Messages, MessageEvery: r.cfg.MessageEvery.Seconds(),
		DropEvery: r.cfg.DropEvery.Seconds(), DropFor: r.cfg.DropFor.Seconds(), Cut: r.cfg.Cut,
		Cuts: t.cuts, Returned: t.returned, Recovered: t.recovered, Failed: t.failed,
	}
	if t.failedWhy != nil {
		d.FailedWhy = t.failedWhy.Error()
	}
	all := r.clients()
	d.Return = latencyOf(all.absences)
	got := make([]int, len(all.got))
	for i, n := range all.got {
		d.Expected += uint64(all.sent[i])
		got[i] = int(n)
	}
	d.Clients = len(got)
	d.got(got)
	return d
}
