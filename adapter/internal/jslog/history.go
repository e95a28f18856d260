package jslog

import (
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// forEver is the number of a marker that will never come back.
const forEver = 1<<64 - 1

// history is what the stream has held lately, as far as this node has read it:
// everything after start. Clients that come back are served from it, without a
// question to JetStream.
type history struct {
	limit int // bytes; immutable

	mu     sync.RWMutex // guards the rest
	retain time.Duration
	start  position
	aged   bool // what is not after start has been too old, and was not removed for want of room
	list   []remembered
	bytes  int
	// nobody can come back who is not past gap, nor anybody while dirty is set: the
	// number of a marker that this node has to write and has not read yet.
	gap   position
	dirty uint64
}

// remembered is one message of the stream.
type remembered struct {
	offset
	nsp string
	m   *adapter.Message
	at  time.Time // when it was read
}

// begin says from where on messages will be added.
func (h *history) begin(from position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list, h.bytes = nil, 0
	h.start, h.aged, h.gap = from, false, position{}
}

func (h *history) lengthen(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retain = d
}

// add appends a message that was read.
func (h *history) add(r remembered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, r)
	h.bytes += sizeOf(r.m)
	expired := r.at.Add(-h.retain)
	n := 0
	for n < len(h.list) && (h.bytes > h.limit || h.list[n].at.Before(expired)) {
		h.bytes -= sizeOf(h.list[n].m)
		h.start = h.list[n].pos
		h.aged = h.list[n].at.Before(expired)
		n++
	}
	clear(h.list[:n])
	h.list = h.list[n:] // append moves the rest to new memory now and then
}

// gapped notes a marker that was read; number is its own if this node wrote it,
// else 0.
func (h *history) gapped(at position, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gap = at
	if number == h.dirty {
		h.dirty = 0
	}
}

// soil notes that a marker with this number is about to be written.
func (h *history) soil(number uint64) {
	h.mu.Lock()
	h.dirty = number
	h.mu.Unlock()
}

// answer of a look into the history.
type answer uint8

const (
	found   answer = iota
	older          // begins before the history
	unknown        // no message has this offset
	missing        // something after it was not kept
)

// missed returns what s wants of a namespace's messages after an offset.
func (h *history) missed(nsp string, s *adapter.Session, after offset) ([]*adapter.Message, answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dirty != 0 || h.gap.after(after.pos):
		return nil, missing
	case !after.pos.after(h.start):
		if !h.aged {
			return nil, older
		}
		return wanted(nsp, s, h.list), found
	}
	i, ok := slices.BinarySearchFunc(h.list, after.pos, func(r remembered, p position) int { return r.pos.compare(p) })
	if !ok || h.list[i].offset != after || h.list[i].nsp != nsp {
		return nil, unknown
	}
	return wanted(nsp, s, h.list[i+1:]), found
}

// after returns what s wants of a history that begins at start still.
func (h *history) after(nsp string, s *adapter.Session, start position) ([]*adapter.Message, answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dirty != 0 || h.gap.after(start):
		return nil, missing
	case h.start != start:
		return nil, older
	}
	return wanted(nsp, s, h.list), found
}

func wanted(nsp string, s *adapter.Session, list []remembered) (missed []*adapter.Message) {
	for _, r := range list {
		if r.nsp == nsp && s.Wants(&r.m.Target) {
			missed = append(missed, r.m)
		}
	}
	return missed
}

// extend puts what was read of the stream before the history, up to its start.
// It keeps it only if it fits.
func (h *history) extend(e *extension, to position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.gap.after(h.gap) {
		h.gap = e.gap
	}
	bytes := 0
	for _, r := range e.list {
		bytes += sizeOf(r.m)
	}
	if h.start != to || h.bytes+bytes > h.limit {
		return // it has moved on, or there is no room
	}
	h.list = slices.Concat(e.list, h.list) // the caller goes on with its list
	h.bytes += bytes
	h.start, h.aged = e.start, e.aged
}

// bounds returns where the history begins.
func (h *history) bounds() position {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.start
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
