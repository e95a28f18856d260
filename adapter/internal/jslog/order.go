package jslog

import (
	"math"
	"sync"
	"time"
)

const (
	// holdTimeout is how long what came beside the stream waits for the stream.
	holdTimeout = 2 * time.Second
	// fenceTimeout is how long the stream waits for what came beside it. Who has
	// waited in vain does not wait for that sender again until a fence of it has
	// come.
	fenceTimeout = 500 * time.Millisecond
	// maxSenders bounds the senders whose fences and numbers are remembered.
	maxSenders = 4096
)

// order is the order between the stream and what other nodes send beside it.
type order struct {
	l    *Log
	wake chan struct{} // capacity 1: something waits

	mu     sync.Mutex // guards the rest
	at     uint64     // the newest batch that has been handed on
	holds  map[string][]held
	bytes  int
	fences map[fenceKey]uint64 // the newest that has passed
	deaf   map[fenceKey]bool   // waited for in vain
	passed chan struct{}       // closed and replaced when a fence passes, if somebody waits
}

type fenceKey struct{ sender, nsp string }

// held is something that waits until the stream has come to a place, or for what
// is before it.
type held struct {
	after uint64
	size  int
	at    time.Time
	do    func()
}

func (o *order) init(l *Log) {
	o.l, o.wake = l, make(chan struct{}, 1)
	o.holds, o.fences, o.deaf = make(map[string][]held), make(map[fenceKey]uint64), make(map[fenceKey]bool)
}

// When does something of size bytes that a node sent beside the stream: when
// all that is kept up to a sequence has been handed on here, in the order of the
// sender's. It does not wait for that. It reports false if it never will,
// because too much waits.
func (l *Log) When(sender string, after uint64, size int, do func()) bool {
	o := &l.order
	o.mu.Lock()
	list, waits := o.holds[sender]
	if !waits && after <= o.at {
		o.mu.Unlock()
		do()
		return true
	}
	defer o.mu.Unlock()
	size += itemOverhead
	if o.bytes+size > l.cfg.BacklogBytes {
		l.count.dropHeld.Add(1)
		return false
	}
	o.bytes += size
	o.holds[sender] = append(list, held{after: after, size: size, at: time.Now(), do: do})
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// reached says that a batch has been handed on, and does what waited for that.
// With Log.deliver held.
func (o *order) reached(seq uint64) {
	o.mu.Lock()
	o.at = seq
	some := len(o.holds) > 0
	o.mu.Unlock()
	if some {
		o.run(false)
	}
}

// run does what needs to wait no longer; with late, what has waited for too
// long, too. With Log.deliver held.
func (o *order) run(late bool) {
	o.mu.Lock()
	senders := make([]string, 0, len(o.holds))
	for s := range o.holds {
		senders = append(senders, s)
	}
	o.mu.Unlock()
	for _, s := range senders {
		for do := o.next(s, late); do != nil; do = o.next(s, late) {
			do()
			o.done(s)
		}
	}
}

// next returns what is to be done next of a sender's, which stays at the front
// until it has been done.
func (o *order) next(sender string, late bool) func() {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.holds[sender]
	if len(h) == 0 {
		return nil
	}
	if h[0].after > o.at {
		if !late || time.Since(h[0].at) < holdTimeout {
			return nil
		}
		o.l.count.overtaken.Add(1)
	}
	return h[0].do
}

func (o *order) done(sender string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.holds[sender]
	o.bytes -= list[0].size
	list[0] = held{}
	if len(list) == 1 {
		delete(o.holds, sender)
	} else {
		o.holds[sender] = list[1:]
	}
}

// due says in how long something will have waited for too long.
func (o *order) due() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := time.Duration(math.MaxInt64 / 2)
	for _, list := range o.holds {
		next = min(next, time.Until(list[0].at.Add(holdTimeout)))
	}
	return next
}

// Passed says that what a node sent beside the stream in a namespace before a
// fence has been handled.
func (l *Log) Passed(sender, nsp string, fence uint64) {
	o, key := &l.order, fenceKey{sender, nsp}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.fences[key]; !known && len(o.fences) >= maxSenders {
		clear(o.fences)
		clear(o.deaf)
	}
	o.fences[key] = fence
	delete(o.deaf, key)
	if o.passed != nil {
		close(o.passed)
		o.passed = nil
	}
}

// await returns when a fence has passed, or does not come. With Log.deliver
// held.
func (o *order) await(sender, nsp string, fence uint64) {
	key := fenceKey{sender, nsp}
	var timeout <-chan time.Time
	for {
		o.mu.Lock()
		if o.fences[key] >= fence {
			o.mu.Unlock()
			return
		}
		if o.deaf[key] {
			o.mu.Unlock()
			o.l.count.unfenced.Add(1)
			return
		}
		if o.passed == nil {
			o.passed = make(chan struct{})
		}
		passed := o.passed
		o.mu.Unlock()
		if timeout == nil {
			t := time.NewTimer(fenceTimeout)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-passed:
		case <-timeout:
			o.mu.Lock()
			if len(o.deaf) < maxSenders {
				o.deaf[key] = true
			}
			o.mu.Unlock()
		case <-o.l.ctx.Done():
			return
		}
	}
}
