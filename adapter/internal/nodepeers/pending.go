package nodepeers

import (
	"slices"
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// pending is one request under way.
type pending struct {
	// immutable
	kind    adapter.Kind
	asked   []string // uids
	barrier bool     // Node.js peers confirm what they do not answer
	limit   int      // bytes waiting for the caller
	wake    chan struct{}

	mu      sync.Mutex
	waiting map[string]*peer // by uid
	pool    pool
	missing []string // names of those that are gone or failed
	cause   error    // of the first in missing
	queue   []adapter.Response
	bytes   int
}

// peer is one that is waited for and says who it is.
type peer struct {
	name    string
	golang  bool
	counted bool // it has told how many clients it asked
	left    int  // acknowledgements that are missing
}

// newPending returns a request to those who listen.
func (n *Node) newPending(kind adapter.Kind, uids []string, more int) *pending {
	p := &pending{
		kind: kind, asked: uids, barrier: n.cfg.Barrier, limit: n.cfg.QueueBytes,
		wake: make(chan struct{}, 1), waiting: make(map[string]*peer),
	}
	ignore := p.confirmed() && !n.cfg.Barrier // Node.js peers, who will not tell
	for _, uid := range uids {
		switch golang := IsGo(uid); {
		case !golang && ignore:
		case !golang && n.cfg.Anonymous:
			p.pool.live = append(p.pool.live, uid)
		default:
			p.waiting[uid] = &peer{name: n.nameOf(uid), golang: golang}
		}
	}
	if !ignore {
		p.pool.more = more
	}
	return p
}

// confirmed reports whether what was asked for is confirmed and not answered.
func (p *pending) confirmed() bool {
	return p.kind == adapter.Join || p.kind == adapter.Leave || p.kind == adapter.Disconnect
}

// foreign reports whether Node.js peers are waited for.
func (p *pending) foreign() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		if !w.golang {
			return true
		}
	}
	return p.pool.open()
}

// open reports whether anybody is waited for.
func (p *pending) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.openLocked()
}

func (p *pending) openLocked() bool { return len(p.waiting) > 0 || p.pool.open() }

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// forget stops waiting for a peer as if it had not been asked.
func (p *pending) forget(uid string) {
	p.mu.Lock()
	delete(p.waiting, uid)
	p.mu.Unlock()
	p.signal()
}

// fail stops waiting for a peer and notes it as missing.
func (p *pending) fail(uid string, cause error) {
	p.mu.Lock()
	p.failLocked(uid, cause)
	p.mu.Unlock()
	p.signal()
}

func (p *pending) failLocked(uid string, cause error) {
	w := p.waiting[uid]
	if w == nil {
		return
	}
	delete(p.waiting, uid)
	p.missing = append(p.missing, w.name)
	if p.cause == nil {
		p.cause = cause
	}
}

// failAll notes everybody as missing.
func (p *pending) failAll(cause error) {
	p.mu.Lock()
	for uid := range p.waiting {
		p.failLocked(uid, cause)
	}
	p.missing = append(p.missing, p.pool.missing()...)
	p.pool = pool{}
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	p.signal()
}

// looked notes who listens now.
func (p *pending) looked(listening map[string]bool, more int) {
	p.mu.Lock()
	for uid := range p.waiting {
		if !listening[uid] {
			p.failLocked(uid, ErrGone)
		}
	}
	p.pool.looked(listening, more)
	p.mu.Unlock()
	p.signal()
}

// verdict is what became of a response.
type verdict uint8

const (
	taken verdict = iota
	unexpected
	tooMuch
)

// receive queues a response for the caller. If the caller is so slow that too
// much is waiting, the peer counts as missing.
func (p *pending) receive(m *nodewire.Message) verdict {
	defer p.signal()
	size := sizeOf(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[m.UID]
	anonymous := w == nil && !IsGo(m.UID) && p.pool.expected() > 0
	if w == nil && !anonymous {
		return unexpected
	}
	if p.bytes+size > p.limit {
		if w != nil {
			p.failLocked(m.UID, errIncomplete)
		} else if p.cause == nil {
			p.missing, p.cause = append(p.missing, p.pool.name()), errIncomplete
			p.poolTakes(m)
		}
		return tooMuch
	}
	var r adapter.Response
	var ok, last bool
	if w != nil {
		ok, last = p.peerTakes(w, m)
		r.Node = w.name
	} else {
		ok = p.poolTakes(m)
		last = ok && (m.Type == nodewire.FetchSocketsResponse || m.Type == nodewire.ServerSideEmitResponse)
		r.Node = p.pool.name()
	}
	if !ok {
		return unexpected
	}
	if last && w != nil {
		delete(p.waiting, m.UID)
	}
	if p.confirmed() && !last {
		return taken
	}
	r.Last, r.Count, r.SID = last, m.ClientCount, m.SID
	if !p.confirmed() {
		r.Data, r.Attachments, r.Sockets = m.Data, m.Attachments, m.Sockets
	}
	p.queue = append(p.queue, r)
	p.bytes += size
	return taken
}

// peerTakes counts a response of a peer that says who it is.
func (p *pending) peerTakes(w *peer, m *nodewire.Message) (ok, last bool) {
	if m.Type == nodewire.Done {
		return w.golang, w.golang
	}
	switch p.kind {
	case adapter.Fetch:
		return m.Type == nodewire.FetchSocketsResponse, !w.golang
	case adapter.ServerSideEmit:
		return m.Type == nodewire.ServerSideEmitResponse, true
	case adapter.Broadcast:
		switch m.Type {
		case nodewire.BroadcastClientCount:
			if w.counted {
				return false, false
			}
			w.counted = true
			w.left += m.ClientCount
		case nodewire.BroadcastAck:
			w.left--
		default:
			return false, false
		}
		return true, w.counted && w.left <= 0
	default: // confirmed, by a Node.js peer by answering the barrier
		want := nodewire.FetchSocketsResponse
		if w.golang {
			want = nodewire.ServerSideEmitResponse
		}
		return m.Type == want, true
	}
}

// poolTakes counts a response of a peer that does not.
func (p *pending) poolTakes(m *nodewire.Message) (ok bool) {
	switch {
	case m.Type == nodewire.BroadcastAck && p.kind == adapter.Broadcast:
		p.pool.left--
		return true
	case m.Type == nodewire.BroadcastClientCount && p.kind == adapter.Broadcast:
		p.pool.left += m.ClientCount
	case m.Type == nodewire.ServerSideEmitResponse && p.kind == adapter.ServerSideEmit:
	case m.Type == nodewire.FetchSocketsResponse && (p.kind == adapter.Fetch || p.confirmed()):
	default:
		return false
	}
	if p.pool.answered == p.pool.expected() {
		return false
	}
	p.pool.answered++
	return true
}

// sizeOf is about how much memory a response takes.
func sizeOf(m *nodewire.Message) int {
	const each = 128
	n := each + len(m.Data) + len(m.SID)
	for _, b := range m.Attachments {
		n += len(b)
	}
	for i := range m.Sockets {
		s := &m.Sockets[i]
		n += each + len(s.ID) + len(s.Handshake) + len(s.Data)
		for _, r := range s.Rooms {
			n += len(r) + 16
		}
	}
	return n
}

// take returns what has come, and whether anybody is still waited for.
func (p *pending) take() (got []adapter.Response, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, p.queue, p.bytes = p.queue, nil, 0
	return got, p.openLocked()
}

// result is the error for those who are missing, nil when nobody is.
func (p *pending) result(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := slices.Clone(p.missing)
	for _, w := range p.waiting {
		missing = append(missing, w.name)
	}
	missing = append(missing, p.pool.missing()...)
	if len(missing) == 0 {
		return nil
	}
	if cause == nil {
		cause = p.cause
	}
	if cause == nil {
		cause = ErrGone
	}
	slices.Sort(missing)
	return &adapter.PartialError{Missing: slices.Compact(missing), Cause: cause}
}
