package replay

import (
	"slices"
	"sync/atomic"
	"time"
)

// linger is for how long more than History.Limit is remembered since somebody
// wanted it, and what was found out about the log: clients that were cut off
// together come back within it.
const linger = 10 * time.Second

// over is what a history remembers beyond its limit, for clients that come back
// from before it. Meanwhile it forgets nothing unless Spare is used up, so that
// it stays behind what was read, whatever is added. It is guarded by History.mu.
type over struct {
	on, full bool // full: more than could be remembered has been wanted
	count    int  // so many of the oldest messages do not fit the limit
	bytes    int  // and take so much
	passed   int  // entries of the log that have been looked at

	began time.Time
	used  atomic.Int64 // when something of it was wanted last, since then; written with mu held for reading
	timer *time.Timer
}

func (o *over) use() { o.used.Store(int64(time.Since(o.began))) }

// stretch prepares for a part being read that ends at the beginning of the
// history, unless what came after at is remembered by now, or will not be. The
// part is to begin at the oldest position that anybody has asked for. The epoch
// ends when the history begins anew.
func (h *History[P]) stretch(at P) (r Range[P], epoch int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.before(at) != Older {
		return r, 0, false
	}
	h.turnOn()
	o := &h.over
	r = Range[P]{From: at, To: h.start, Room: h.Limit + h.Spare - h.bytes}
	if r.Room <= 0 || h.Reach > 0 && o.passed >= h.Reach {
		o.full = true
		return r, 0, false
	}
	for p := range h.reading.askers() {
		if p.Compare(r.From) < 0 && h.before(p) == Older {
			r.From = p
		}
	}
	return r, h.epoch, true
}

// turnOn has more than the limit remembered, from now on for a while.
func (h *History[P]) turnOn() {
	o := &h.over
	if !o.on {
		o.on, o.began = true, time.Now()
		o.timer = time.AfterFunc(linger, h.shrink)
	}
	o.use()
}

// shrink forgets what is beyond the limit when nobody has wanted it for a while.
// The timer needs no end: it comes only once when nobody does.
func (h *History[P]) shrink() {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := &h.over
	if rest := linger - (time.Since(o.began) - time.Duration(o.used.Load())); rest > 0 {
		o.timer.Reset(rest)
		return
	}
	o.on, o.full, o.passed = false, false, 0
	h.forget(o.count, time.Time{})
}

// extend puts a part before the history. What does not fit of it is not kept. It
// reports whether that was of use to who had at.
func (h *History[P]) extend(part *Part[P], at, to P, epoch int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if epoch != h.epoch {
		return true
	}
	h.gap = later(h.gap, part.Gap)
	if now := time.Now(); part.Floor.Compare(h.floor) >= 0 || now.Sub(h.floored) >= linger {
		h.floor, h.floored = part.Floor, now
	}
	if h.start.Compare(to) != 0 {
		return true // it has lost its beginning meanwhile
	}
	h.turnOn() // again, if reading took so long
	first, room := len(part.List), h.Limit+h.Spare-h.bytes
	bytes := 0
	for ; first > 0; first-- {
		size := sizeOf(part.List[first-1].Message)
		if bytes+size > room {
			break
		}
		bytes += size
	}
	h.start, h.edge = part.Start, part.Edge
	if first > 0 {
		h.start, h.edge = part.List[first-1].At, h.Forgets(false)
	}
	h.list = slices.Concat(part.List[first:], h.list)
	h.bytes += bytes
	o := &h.over
	o.full = o.full || part.Cut || first > 0
	o.passed += part.Passed
	o.count += len(part.List) - first
	o.bytes += bytes
	h.within()
	return h.start.Compare(to) != 0 || h.before(at) != Older
}

// within finds out which of the messages fit the limit.
func (h *History[P]) within() {
	o := &h.over
	for ; h.bytes-o.bytes > h.Limit; o.count++ {
		o.bytes += sizeOf(h.list[o.count].Message)
	}
	for ; o.count > 0; o.count-- {
		size := sizeOf(h.list[o.count-1].Message)
		if h.bytes-o.bytes+size > h.Limit {
			break
		}
		o.bytes -= size
	}
}

// beyond returns how many of the oldest messages do not fit so many bytes.
func (h *History[P]) beyond(limit int) (n int) {
	for bytes := h.bytes; bytes > limit; n++ {
		bytes -= sizeOf(h.list[n].Message)
	}
	return n
}
