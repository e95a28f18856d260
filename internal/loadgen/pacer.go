package loadgen

import "time"

// giveUp is how late a send may leave. One that could not leave by then is
// missed: sending it anyway would turn an overloaded generator into a burst.
const giveUp = time.Second

// window is the time of a load: it runs from start to end, and what is sent
// from count on is measured.
type window struct{ start, count, end int64 }

// pacer says when sends are due, at a fixed rate, whatever became of those
// before. It is not safe for concurrent use. Times are nanoseconds.
type pacer struct {
	start  int64
	end    int64   // nothing is due at or after it
	count  int64   // missed sends count when due at or after it
	period float64 // between two sends
	k      int64   // number of the next send
	missed uint64
}

// due returns the next time a send was due at or before now, and moves on.
func (p *pacer) due(now int64) (at int64, ok bool) {
	for {
		at = p.next()
		if at > now || at >= p.end {
			return 0, false
		}
		p.k++
		if now-at <= int64(giveUp) {
			return at, true
		}
		p.miss(at)
	}
}

// next returns when the next send is due. It may be after the end.
func (p *pacer) next() int64 { return p.start + int64(float64(p.k)*p.period) }

// miss counts a send that was due at the time given and could not be made.
func (p *pacer) miss(at int64) {
	if at >= p.count {
		p.missed++
	}
}

// finish counts what was due before the end and has not been asked for.
func (p *pacer) finish() {
	for at := p.next(); at < p.end; at = p.next() {
		p.k++
		p.miss(at)
	}
}

// newPacer returns the pacer of one of the loops, which has part of the
// whole's senders. The loops begin one after another within a period, so that
// they do not all send at once.
func newPacer(w window, sendsPerSecond float64, loop, loops, part, whole int) pacer {
	p := pacer{start: w.start, count: w.count, end: w.end}
	if part == 0 {
		p.start = p.end
		return p
	}
	p.period = float64(time.Second) / sendsPerSecond * float64(whole) / float64(part)
	p.start += int64(p.period * float64(loop) / float64(loops))
	return p
}
