package redisstream

import "time"

// fencePatience is how long what goes past the stream waits for what was sent
// before it, while Redis refuses that: a server without memory, without a disk
// or without replicas writes nothing, and publishes all the same.
const fencePatience = 2 * time.Second

// fence is something to be done when what was queued before it has been written
// or given up. Markers of gaps are not waited for.
type fence struct {
	after uint64 // the number of the newest item before it
	size  int
	do    func(last string) error
}

// fence calls do, with the id of the newest entry written, when all messages
// that were queued before have been written or given up: at once, if they have,
// or if Redis has refused them for a while. Size is what do holds meanwhile, in
// bytes.
func (w *writer) fence(size int, do func(last string) error) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	if len(w.fences) == 0 && (w.open == 0 || w.stuck()) {
		if w.open > 0 {
			w.s.count.overtaken.Add(1)
		}
		last := w.last
		w.mu.Unlock()
		return do(last)
	}
	defer w.mu.Unlock()
	size += itemOverhead
	if !w.fits(size) {
		return errBacklog
	}
	w.bytes += size
	w.fences = append(w.fences, fence{after: w.seq, size: size, do: do})
	return nil
}

// stuck reports whether Redis has refused writes for a while. With mu held.
func (w *writer) stuck() bool {
	return !w.refused.IsZero() && time.Since(w.refused) >= fencePatience
}

// release passes the fences whose time has come. It is called by run's
// goroutine, between writes.
func (w *writer) release() {
	for {
		w.mu.Lock()
		f, overtakes, ok := w.passable()
		last := w.last
		w.mu.Unlock()
		if !ok {
			return
		}
		if overtakes {
			w.s.count.overtaken.Add(1)
		}
		if err := f.do(last); err != nil {
			w.s.c.troubled("redis does not take messages", err)
		}
		w.mu.Lock() // not before: who comes meanwhile is behind it
		w.bytes -= f.size
		w.fences = w.fences[1:]
		if len(w.fences) == 0 {
			w.fences = nil
		}
		w.mu.Unlock()
	}
}

// passable returns the first fence if it can pass, and whether it overtakes
// messages. With mu held, while nothing is being written.
func (w *writer) passable() (f fence, overtakes, ok bool) {
	if len(w.fences) == 0 {
		return f, false, false
	}
	f = w.fences[0]
	for _, it := range w.items {
		if it.seq > f.after {
			break
		}
		if !it.must {
			return f, true, w.stuck()
		}
	}
	return f, false, true
}
