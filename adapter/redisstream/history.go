package redisstream

import (
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// history is what a namespace's part of a stream has held lately, as far as
// this node has read it: everything after start. Clients that come back are
// served from it, without a question to Redis.
type history struct {
	limit int // bytes; immutable

	mu      sync.RWMutex // guards the rest
	on      bool         // clients can come back at all
	retain  time.Duration
	start   offset // what is here are all entries after it, and it itself if known
	known   bool   // start is an entry of the namespace
	list    []remembered
	bytes   int
	lastGap offset // nobody who is not past it can come back
	// dirty is the number of a marker that this node is to write and has not
	// seen come back, so that nobody can come back meanwhile; "" is none, "?"
	// one that has no number yet.
	dirty string
}

// remembered is one entry: a message.
type remembered struct {
	id offset
	m  *adapter.Message
	at time.Time
}

// begin says from where on entries will be added.
func (h *history) begin(from offset) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start = from
}

// keep turns the history on.
func (h *history) keep(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on, h.retain = true, d
}

func (h *history) logging() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.on
}

// add appends a message that was read.
func (h *history) add(id offset, m *adapter.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		h.start, h.known = id, true
		return
	}
	h.list = append(h.list, remembered{id, m, time.Now()})
	h.bytes += sizeOf(m)
	h.trim()
}

// trim forgets what is too old or too much. With mu held.
func (h *history) trim() {
	expired := time.Now().Add(-h.retain)
	n := 0
	for n < len(h.list) && (h.bytes > h.limit || h.list[n].at.Before(expired)) {
		h.bytes -= sizeOf(h.list[n].m)
		h.start, h.known = h.list[n].id, true
		n++
	}
	clear(h.list[:n])
	h.list = h.list[n:] // append moves the rest to new memory now and then
}

// gap notes a marker that was read; seq is its number if this node wrote it.
func (h *history) gap(id offset, seq string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id.after(h.lastGap) {
		h.lastGap = id
	}
	if seq != "" && seq == h.dirty {
		h.dirty = ""
	}
}

// soil notes that a marker is about to be written, with this number.
func (h *history) soil(seq string) {
	h.mu.Lock()
	h.dirty = seq
	h.mu.Unlock()
}

// answer of a look into the history.
type answer uint8

const (
	found   answer = iota
	older          // begins before the history
	unknown        // no entry has this offset
	gapped         // something after it is missing
)

// missed returns what s wants of the messages after an offset.
func (h *history) missed(s *adapter.Session, after offset) ([]*adapter.Message, answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dirty != "" || h.lastGap.after(after):
		return nil, gapped
	case h.start.after(after) || h.start == after && !h.known:
		return nil, older
	}
	i, ok := slices.BinarySearchFunc(h.list, after, func(r remembered, o offset) int { return r.id.compare(o) })
	switch {
	case ok:
		i++
	case after != h.start:
		return nil, unknown
	}
	return wanted(s, h.list[i:]), found
}

// after returns what s wants of a history that begins at start still.
func (h *history) after(s *adapter.Session, start offset) ([]*adapter.Message, answer) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dirty != "" || h.lastGap.after(start):
		return nil, gapped
	case h.start != start:
		return nil, older
	}
	return wanted(s, h.list), found
}

func wanted(s *adapter.Session, list []remembered) (missed []*adapter.Message) {
	for _, r := range list {
		if s.Wants(&r.m.Target) {
			missed = append(missed, r.m)
		}
	}
	return missed
}

// extend puts entries before the history, which begin at from and go up to the
// one that was its start. It keeps them only if they fit.
func (h *history) extend(from, to offset, earlier []remembered, gap offset) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if gap.after(h.lastGap) {
		h.lastGap = gap
	}
	bytes := 0
	for _, r := range earlier {
		bytes += sizeOf(r.m)
	}
	if h.start != to || h.bytes+bytes > h.limit {
		return // it has moved on, or there is no room
	}
	now := time.Now()
	for i := range earlier {
		earlier[i].at = now
	}
	h.list = append(earlier, h.list...)
	h.bytes += bytes
	h.start, h.known = from, true
}

// bounds returns where the history begins.
func (h *history) bounds() offset {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.start
}

// sizeOf is about how much memory a message takes.
func sizeOf(m *adapter.Message) int {
	n := 256 + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	for _, list := range [][]string{m.Target.Rooms, m.Target.Except} {
		for _, s := range list {
			n += len(s) + 16
		}
	}
	return n
}

func (h *history) retention() time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return max(h.retain, time.Millisecond)
}
