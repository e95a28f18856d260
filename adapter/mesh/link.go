package mesh

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/internal/rawconn"
)

const (
	// readBuffer is what a link reads at once; longer messages make it grow
	// for as long as they last.
	readBuffer = 64 << 10
	// keepBuffer is the largest write buffer that is kept for reuse.
	keepBuffer = 256 << 10
	// busyGap is how soon after a write another one counts as one of many: it
	// is left to the link's writer, for more to join it.
	busyGap = 50 * time.Microsecond
	// drainStep is how often it is looked whether everything has left.
	drainStep = 5 * time.Millisecond
)

// link is the connection to one peer. Frames leave in the order in which they
// were queued.
//
// Whoever finds writing false sets it and writes; others leave what they have
// to it. What the kernel does not take at once is left to the link's own
// goroutine, the writer.
type link struct {
	peer hello // immutable, as are the next four
	nc   net.Conn
	raw  *rawconn.Conn // nil: the writer writes everything
	bus  *bus
	wake chan struct{} // capacity 1, to the writer

	heard   atomic.Bool // since the last look
	pending atomic.Bool // something was queued since the last flush
	closed  chan struct{}
	removed chan struct{} // closed by the bus, with its mu held

	mu      sync.Mutex
	out     []byte // queued
	spare   []byte // the buffer before out
	rest    []byte // of what is being written; owned by who writes
	size    int    // bytes of out and of what is being written
	writing bool
	said    bool // something was written since the last look
	done    bool // closed is
	lastEnd time.Time
	err     error // why it ended
}

func newLink(b *bus, nc net.Conn, peer hello) *link {
	return &link{peer: peer, nc: nc, raw: rawconn.New(nc), bus: b, wake: make(chan struct{}, 1), closed: make(chan struct{}), removed: make(chan struct{})}
}

// queue appends a frame, to leave at the next flush. A message that exceeds
// the bound on what may be queued is dropped, and false returned; a link on
// which something else does is ended, to begin anew.
func (l *link) queue(k frameKind, body []byte) bool {
	l.mu.Lock()
	if l.done {
		l.mu.Unlock()
		return true // as lost as what was queued before
	}
	full := l.size+len(body) > l.bus.limit && l.size > 0
	if full && k == framePublish {
		l.mu.Unlock()
		return false
	}
	before := len(l.out)
	l.out = appendFrame(l.out, k, body)
	l.size += len(l.out) - before
	l.mu.Unlock()
	if full {
		l.end(fmt.Errorf("socketeer: mesh: %s does not take what it is sent", l.peer.addr))
	} else if !l.pending.Load() {
		l.pending.Store(true)
	}
	return true
}

// flush sees to it that what has been queued leaves: at once if it can, and if
// nothing has just left.
func (l *link) flush() {
	l.pending.Store(false)
	l.mu.Lock()
	if l.writing || l.done || len(l.out) == 0 {
		l.mu.Unlock()
		return
	}
	l.writing = true
	busy := l.raw == nil || time.Since(l.lastEnd) < busyGap
	l.mu.Unlock()
	if busy {
		l.wake <- struct{}{}
		return
	}
	l.write()
}

// write writes what is queued, as the one who has set writing, until there is
// no more or the writer has to go on.
func (l *link) write() {
	for {
		b := l.take()
		if b == nil {
			return
		}
		n, err := l.raw.TryWrite(b)
		if err != nil {
			l.end(err)
			return
		}
		if n < len(b) {
			l.mu.Lock()
			l.rest = b[n:]
			l.size -= n
			l.mu.Unlock()
			l.wake <- struct{}{}
			return
		}
		l.wrote(b)
	}
}

// take returns what is queued, or nil after giving up writing.
func (l *link) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.out) == 0 || l.done {
		l.writing = false
		l.lastEnd = time.Now()
		return nil
	}
	b := l.out
	l.out, l.spare = l.spare[:0], nil
	return b
}

// wrote accounts for b, all of which has been written.
func (l *link) wrote(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = true
	l.size -= len(b)
	if cap(b) <= keepBuffer {
		l.spare = b
	}
}

// writer waits for the kernel where others do not. It is woken only by who
// has set writing, and is then that one.
func (l *link) writer() {
	for {
		select {
		case <-l.closed:
			return
		case <-l.wake:
		}
		if l.raw != nil && l.rest == nil {
			runtime.Gosched() // for more to join
			l.write()
			continue
		}
		for b := l.remaining(); b != nil; b = l.take() {
			if _, err := l.nc.Write(b); err != nil {
				l.end(err)
				return
			}
			l.wrote(b)
		}
	}
}

// remaining returns what is left of a write, or what is queued.
func (l *link) remaining() []byte {
	l.mu.Lock()
	b := l.rest
	l.rest = nil
	l.mu.Unlock()
	if b != nil {
		return b
	}
	return l.take()
}

func (l *link) readSome(b []byte) (int, error) {
	if l.raw != nil {
		return l.raw.Read(b)
	}
	return l.nc.Read(b)
}

// read handles what the peer sends until the link ends, and returns why.
func (l *link) read() error {
	buf := make([]byte, readBuffer)
	have := 0
	var messages [][]byte
	for {
		n, err := l.readSome(buf[have:])
		if err != nil {
			l.end(err)
			return l.reason()
		}
		if !l.heard.Load() {
			l.heard.Store(true)
		}
		rest := buf[:have+n]
		need := 0
		for {
			k, body, after, more, complete, err := nextFrame(rest, l.bus.maxMessage)
			if err == nil && complete {
				if k == framePublish {
					messages = append(messages, bytes.Clone(body))
				} else {
					l.bus.deliver(messages)
					messages = messages[:0]
					err = l.bus.control(l, k, body)
				}
			}
			if err != nil {
				l.end(err)
				return l.reason()
			}
			if !complete {
				need = more
				break
			}
			rest = after
		}
		l.bus.deliver(messages)
		clear(messages)
		messages = messages[:0]
		have = len(rest)
		switch size := max(need, readBuffer); {
		case have == 0 && len(buf) > readBuffer, size > len(buf):
			buf = append(make([]byte, 0, size), rest...)[:size]
		default:
			copy(buf, rest)
		}
	}
}

// drain waits until nothing is queued, the link has ended or ctx has.
func (l *link) drain(ctx context.Context) {
	l.flush()
	t := time.NewTicker(drainStep)
	defer t.Stop()
	for {
		l.mu.Lock()
		empty := l.size == 0 || l.done
		l.mu.Unlock()
		if empty {
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// end closes the link for a reason; the first one counts.
func (l *link) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	l.done = true
	l.err = fmt.Errorf("%w (%d bytes had not left)", err, l.size)
	l.out, l.spare = nil, nil
	close(l.closed)
	_ = l.nc.Close() // nothing can be done about an error
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// look is called now and then: it keeps the link alive, and ends it when
// nothing was heard for long. silent is how many looks that is so already.
func (l *link) look(silent int) int {
	l.mu.Lock()
	said := l.said
	l.said = false
	l.mu.Unlock()
	if !said {
		l.queue(framePing, nil)
		l.flush()
	}
	if l.heard.Swap(false) {
		return 0
	}
	return silent + 1
}
