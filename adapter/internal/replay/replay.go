// Package replay remembers what a log has held lately, for the clients that come
// back and want what they have missed.
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
	// Immutable. Limit bounds the messages, in bytes of memory. Forgets returns
	// what is known when the oldest message has been removed, because it was too
	// old or for want of room.
	Limit   int
	Forgets func(old bool) Edge

	mu     sync.RWMutex // guards the rest
	retain time.Duration
	start  P
	edge   Edge // at start
	list   []Entry[P]
	bytes  int
	// nobody can come back who is not past gap, nor anybody while dirty is set: the
	// number of a marker that this node has to write and has not read yet.
	gap   P
	dirty uint64
}

// Begin forgets everything, and says from where on messages will be added.
func (h *History[P]) Begin(from P) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var none P
	h.list, h.bytes = nil, 0
	h.start, h.edge, h.gap = from, Open, none
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

// Start returns where the history begins.
func (h *History[P]) Start() P {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.start
}

// Add appends a message that was read, and forgets what is too old or too much.
func (h *History[P]) Add(e Entry[P]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, e)
	h.bytes += sizeOf(e.Message)
	expired := e.Read.Add(-h.retain)
	n := 0
	for n < len(h.list) && (h.bytes > h.Limit || h.list[n].Read.Before(expired)) {
		h.bytes -= sizeOf(h.list[n].Message)
		h.start, h.edge = h.list[n].At, h.Forgets(h.list[n].Read.Before(expired))
		n++
	}
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

// Part is what was read of the log from before a history.
type Part[P Position[P]] struct {
	Start P // before the first one of List
	Edge  Edge
	List  []Entry[P]
	Gap   P // the newest marker of a gap
}

// Extend puts a part, which goes up to a position that was the history's start,
// before it. It keeps it only if it fits. The part's List stays the caller's.
func (h *History[P]) Extend(part Part[P], to P) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to.Compare(h.start) > 0 {
		return // it has begun anew
	}
	h.gap = later(h.gap, part.Gap)
	bytes := 0
	for _, e := range part.List {
		bytes += sizeOf(e.Message)
	}
	if h.start.Compare(to) != 0 || h.bytes+bytes > h.Limit {
		return // it has moved on, or there is no room
	}
	h.list = slices.Concat(part.List, h.list)
	h.bytes += bytes
	h.start, h.edge = part.Start, part.Edge
}

// Missed returns what a session wants of a namespace's messages after the one
// with this offset, which is at a position.
func (h *History[P]) Missed(nsp string, s *adapter.Session, at P, offset string) ([]*adapter.Message, Answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	beyond := at.Compare(h.start)
	switch {
	case h.dirty != 0 || h.gap.Compare(at) > 0:
		return nil, Gapped
	case beyond <= 0 && h.edge == Aged || beyond == 0 && h.edge == Exact:
		return Wanted(nsp, s, h.list), Found
	case beyond <= 0:
		return nil, Older
	}
	i, ok := slices.BinarySearchFunc(h.list, at, func(e Entry[P], p P) int { return e.At.Compare(p) })
	if !ok || h.list[i].Message.Offset != offset || h.list[i].NSP != nsp {
		return nil, Unknown
	}
	return Wanted(nsp, s, h.list[i+1:]), Found
}

// After returns what a session wants of a history that begins at start still.
func (h *History[P]) After(nsp string, s *adapter.Session, start P) ([]*adapter.Message, Answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dirty != 0 || h.gap.Compare(start) > 0:
		return nil, Gapped
	case h.start.Compare(start) != 0:
		return nil, Older
	}
	return Wanted(nsp, s, h.list), Found
}

// Wanted returns the messages that a session wants.
func Wanted[P Position[P]](nsp string, s *adapter.Session, list []Entry[P]) (missed []*adapter.Message) {
	for _, e := range list {
		if e.NSP == nsp && s.Wants(&e.Message.Target) {
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
