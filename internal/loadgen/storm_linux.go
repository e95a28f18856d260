package loadgen

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// glance is how often the servers' memory is looked at for its peak.
	glance = 50 * time.Millisecond
	// beforehand is how long before the cut its mark is made: it is not to
	// have CPU time of the cut in it.
	beforehand = 2 * time.Millisecond
)

// storm cuts all connections at once, and waits until all are back.
func (r *run) storm(ctx context.Context) error {
	r.watch.phase("settle")
	err := r.all(ctx, instruction{Do: "hold"}, func(ctx context.Context) error {
		if err := r.sleep(ctx, r.clock.now()+int64(r.cfg.Settle)); err != nil {
			return err
		}
		return r.connected()
	})
	if err != nil {
		return err
	}
	cut := r.soon()
	return r.all(ctx, instruction{Do: "storm", Start: cut}, func(ctx context.Context) error {
		if err := r.sleep(ctx, cut-int64(beforehand)); err != nil {
			return err
		}
		from, err := r.bareMark()
		if err != nil {
			return err
		}
		from.at = cut
		r.watch.phase("storm")
		way := newCourse(from, r.cfg.Duration)
		peak, err := r.allBack(ctx, way, cut+int64(r.cfg.Duration))
		if err != nil {
			return err
		}
		to, err := r.mark()
		if err != nil {
			return err
		}
		r.stormed(from, to, peak)
		r.report.Storm.Series = way.series(func(s *Second) *int { return &s.Back })
		if r.report.Memory == nil {
			return nil
		}
		r.report.Memory.AfterKiB, err = r.servers.rss()
		return err
	})
}

// allBack waits until all connections have been cut and are back, or until the
// end, and notes their way. It returns the most memory the servers were seen
// with.
func (r *run) allBack(ctx context.Context, way *course, end int64) (peak int64, err error) {
	for {
		kib := r.servers.roughRSS()
		peak = max(peak, kib)
		t := r.tally()
		now := r.clock.now() // other processes take a while to answer
		over := t.busy == 0 && t.back() >= t.cuts || now >= end
		if over || way.due(now) {
			way.note(r, now, t.back(), t.returned, kib)
		}
		if over {
			return peak, nil
		}
		if err := r.sleep(ctx, min(end, now+int64(glance))); err != nil {
			return peak, err
		}
	}
}

// back returns how many of the connections that were cut are there, though
// some may have been lost again meanwhile.
func (t *tally) back() int { return t.returned - t.fallen }

// away returns how many are not.
func (t *tally) away() int { return max(0, t.cuts+t.fallen-t.returned) }

// stormed notes what came between the cut and the last return.
func (r *run) stormed(from, to mark, peak int64) {
	t := to.tally
	seconds := time.Duration(to.at - from.at).Seconds()
	s := &Reconnection{
		Cut: r.cfg.Cut, Delay: max(0, r.cfg.ReconnectDelay).Seconds(), Conns: t.cuts, Back: t.back(),
		Seconds: seconds, Failed: t.failed,
		Server: r.serverCPU(from, to, seconds, uint64(t.returned)), Generator: newCPU(to.own-from.own, seconds, uint64(t.returned)),
		OtherCores: r.otherCores(from, to, seconds), PeakKiB: peak,
	}
	if s.Back == s.Conns {
		s.Seconds = time.Duration(t.lastReturn - from.at).Seconds()
	}
	if d := time.Duration(t.lastReturn - t.firstReturn).Seconds(); d > 0 {
		s.PerSecond = float64(t.returned) / d
	}
	if t.failedWhy != nil {
		s.FailedWhy = t.failedWhy.Error()
	}
	r.report.Storm = s
}

// storm holds the connections until the time when they are cut, all of them on
// all loops, and while they return.
func (l *loop) storm(ctx context.Context, cut int64, done func() bool) error {
	if err := l.hold(ctx, time.Millisecond, func() bool { return l.clock.now() >= cut }); err != nil {
		return err
	}
	l.mu.Lock()
	l.returning = true
	for i := range l.conns {
		if c := &l.conns[i]; c.state == ready {
			l.cut(c, l.clock.now(), backoff(l.cfg.ReconnectDelay, 0, rand.Float64()))
		}
	}
	l.through = true
	l.mu.Unlock()
	return l.hold(ctx, 10*time.Millisecond, done)
}
