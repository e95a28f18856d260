package cluster

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// localQueue bounds the frames waiting for one LocalBus.
const localQueue = 1 << 16

// Hub joins the nodes of one process, for tests and for several servers in one
// program.
type Hub struct {
	mu   sync.RWMutex
	subs map[string]map[*LocalBus]struct{}
}

// NewHub returns a hub without nodes.
func NewHub() *Hub { return &Hub{subs: make(map[string]map[*LocalBus]struct{})} }

// Bus returns a new connection to the hub. The caller closes it after the node
// that uses it.
func (h *Hub) Bus() *LocalBus {
	return &LocalBus{hub: h, queue: make(chan []byte, localQueue), stop: make(chan struct{}), done: make(chan struct{})}
}

// LocalBus is a [Bus] within the process.
type LocalBus struct {
	hub     *Hub
	queue   chan []byte
	stop    chan struct{}
	done    chan struct{}
	dropped atomic.Uint64
	cut     atomic.Bool

	mu        sync.Mutex
	listening bool
	closed    bool
}

var (
	_ Bus     = (*LocalBus)(nil)
	_ Dropper = (*LocalBus)(nil)
)

// Listen implements [Bus].
func (b *LocalBus) Listen(recv func([]byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.listening = true
	go func() {
		defer close(b.done)
		for {
			select {
			case <-b.stop:
				return
			case data := <-b.queue:
				recv(data)
			}
		}
	}()
	return nil
}

// Publish implements [Bus].
func (b *LocalBus) Publish(subject string, data []byte) error {
	select {
	case <-b.stop:
		return net.ErrClosed
	default:
	}
	if b.cut.Load() {
		return nil
	}
	b.hub.mu.RLock()
	defer b.hub.mu.RUnlock()
	for to := range b.hub.subs[subject] {
		if to != b {
			to.push(bytes.Clone(data))
		}
	}
	return nil
}

func (b *LocalBus) push(data []byte) {
	if b.cut.Load() {
		return
	}
	select {
	case b.queue <- data:
	default:
		b.dropped.Add(1)
	}
}

// Subscribe implements [Bus].
func (b *LocalBus) Subscribe(subject string) error {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.hub.subs[subject] == nil {
		b.hub.subs[subject] = make(map[*LocalBus]struct{})
	}
	b.hub.subs[subject][b] = struct{}{}
	return nil
}

// Unsubscribe implements [Bus].
func (b *LocalBus) Unsubscribe(subject string) error {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	delete(b.hub.subs[subject], b)
	if len(b.hub.subs[subject]) == 0 {
		delete(b.hub.subs, subject)
	}
	return nil
}

// Probe implements [Bus].
func (b *LocalBus) Probe(data []byte) error {
	b.push(bytes.Clone(data))
	return nil
}

// Dropped implements [Dropper].
func (b *LocalBus) Dropped() uint64 { return b.dropped.Load() }

// Cut makes this bus, while on, lose everything that goes in or out, as a
// broken network would.
func (b *LocalBus) Cut(on bool) { b.cut.Store(on) }

// Close ends delivery and waits for it to end. It is idempotent.
func (b *LocalBus) Close() error {
	b.mu.Lock()
	first, listening := !b.closed, b.listening
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.stop)
		b.hub.mu.Lock()
		for subject, buses := range b.hub.subs {
			delete(buses, b)
			if len(buses) == 0 {
				delete(b.hub.subs, subject)
			}
		}
		b.hub.mu.Unlock()
	}
	if listening {
		<-b.done
	}
	return nil
}
