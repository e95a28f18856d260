// Package replay remembers what a log has held lately, for the clients that come
// back and want what they have missed. What is before that is read from the log
// for all of them together, and remembered for as long as they come.
package replay

import (
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// Position is a place in a log: Compare is negative, zero or positive, as with
// [cmp.Compare].
type Position[P any] interface{ Compare(P) int }

// Entry is one message of a log.
type Entry[P Position[P]] struct {
	At      P
	NSP     string // empty in a history of a single namespace
	Message *adapter.Message
	Read    time.Time
}

// Edge says what is known of what is not after the beginning of a history.
type Edge uint8

// What there was at the beginning, and before.
const (
	Open  Edge = iota // nothing
	Exact             // at the beginning there was a message: who had that has missed nothing before
	Aged              // it has been too old, and was not removed for want of room: nobody needs it
)

// Forever is the number of a marker that will never be read.
const Forever = 1<<64 - 1

// History is what a log has held lately, as far as this node has read it:
// everything after its start. Clients that come back are served from it, without
// a question to the log. All methods may be called concurrently; Add, Skip and
// Gapped are called in the log's order.
type History[P Position[P]] struct {
	// Immutable. Limit bounds the messages, in bytes of memory; Spare is how much
	// more they may take while clients come back from before them, and Reach how
	// many entries of the log are looked at for those, 0 for any number. TooMuch
	// is what clients are told who need more: it names what is to be raised.
	// Forgets returns what is known when the oldest message has been removed,
	// because it was too old or for want of room.
	Limit, Spare, Reach int
	TooMuch             error
	Forgets             func(old bool) Edge

	reading reading[P]

	mu     sync.RWMutex // guards the rest
	epoch  int          // of Begin
	retain time.Duration
	start  P
	edge   Edge // at start
	list   []Entry[P]
	bytes  int
	over   over
	// nobody can come back who is not past gap, nor anybody while dirty is set: the
	// number of a marker that this node has to write and has not read yet.
	gap   P
	dirty uint64
	// The log has no more what is not after floor, as was found at floored.
	floor   P
	floored time.Time
}

// Begin forgets everything, and says from where on messages will be added.
func (h *History[P]) Begin(from P) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var none P
	h.forget(len(h.list), time.Time{})
	h.start, h.edge, h.gap, h.floor = from, Open, none, none
	h.over.full, h.over.passed = false, 0
	h.epoch++
}

// Retain says for how long a message is remembered.
func (h *History[P]) Retain(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retain = d
}

// Retention returns for how long a message is remembered.
func (h *History[P]) Retention() time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.retain
}

// Add appends a message that was read, and forgets what is too old or too much.
func (h *History[P]) Add(e Entry[P]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, e)
	h.bytes += sizeOf(e.Message)
	h.within()
	expired := e.Read.Add(-h.retain)
	n := h.over.count
	if h.over.on {
		n = h.beyond(h.Limit + h.Spare)
		h.over.full = h.over.full || n > 0
	}
	for !h.over.on && n < len(h.list) && h.list[n].Read.Before(expired) {
		n++
	}
	h.forget(n, expired)
}

// forget removes the oldest messages, so many. Those read before expired were
// too old.
func (h *History[P]) forget(n int, expired time.Time) {
	if n == 0 {
		return
	}
	for i := range n {
		size := sizeOf(h.list[i].Message)
		if h.bytes -= size; i < h.over.count {
			h.over.bytes -= size
		}
	}
	last := &h.list[n-1]
	h.start, h.edge = last.At, h.Forgets(last.Read.Before(expired))
	h.over.count = max(0, h.over.count-n)
	clear(h.list[:n])
	h.list = h.list[n:] // append moves the rest to new memory now and then
}

// Skip says that a message was read and need not be remembered, as none before.
func (h *History[P]) Skip(at P) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start, h.edge = at, Exact
}

// Soil notes that the marker of a gap with this number, which is not 0, is about
// to be written.
func (h *History[P]) Soil(number uint64) {
	h.mu.Lock()
	h.dirty = number
	h.mu.Unlock()
}

// Gapped notes the marker of a gap that was read; number is its own if this node
// wrote it, else 0.
func (h *History[P]) Gapped(at P, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gap = later(h.gap, at)
	if number == h.dirty {
		h.dirty = 0
	}
}

// Across returns why nobody comes back to what is after a position, which gets
// no better, or nil.
func (h *History[P]) Across(at P) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.dirty != 0 || h.gap.Compare(at) > 0 {
		return Gapped.err(nil)
	}
	return nil
}

// Missed returns what a session wants of a namespace's messages after the one
// with this offset, which is at a position.
func (h *History[P]) Missed(nsp string, s *adapter.Session, at P, offset string) ([]*adapter.Message, Answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if what := h.before(at); what != Found {
		return nil, what
	}
	i := 0
	if at.Compare(h.start) > 0 {
		var ok bool
		i, ok = slices.BinarySearchFunc(h.list, at, func(e Entry[P], p P) int { return e.At.Compare(p) })
		if !ok || h.list[i].Message.Offset != offset || h.list[i].NSP != nsp {
			return nil, Unknown
		}
		i++
	}
	if i < h.over.count {
		h.over.use()
	}
	return wanted(nsp, s, h.list[i:]), Found
}

// before returns Found if all that came after a position is remembered, or why
// not.
func (h *History[P]) before(at P) Answer {
	beyond := at.Compare(h.start)
	switch {
	case h.dirty != 0 || h.gap.Compare(at) > 0:
		return Gapped
	case beyond > 0 || h.edge == Aged || beyond == 0 && h.edge == Exact:
		return Found
	case h.floor.Compare(at) >= 0 && time.Since(h.floored) < linger:
		return Removed
	case h.over.full:
		return TooMuch
	}
	return Older
}

// wanted returns the messages that a session wants.
func wanted[P Position[P]](nsp string, s *adapter.Session, list []Entry[P]) (missed []*adapter.Message) {
	for i := range list {
		if e := &list[i]; e.NSP == nsp && s.Wants(&e.Message.Target) {
			missed = append(missed, e.Message)
		}
	}
	return missed
}

func later[P Position[P]](a, b P) P {
	if b.Compare(a) > 0 {
		return b
	}
	return a
}

// sizeOf is about how much memory a message takes.
func sizeOf(m *adapter.Message) int {
	n := 384 + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a) + 24
	}
	for _, list := range [][]string{m.Target.Rooms, m.Target.Except} {
		for _, s := range list {
			n += len(s) + 16
		}
	}
	return n
}
