package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
)

// maxInterest bounds the subjects that one peer may subscribe to.
const maxInterest = 1 << 22

// bus is a cluster bus over links to all other nodes. Who publishes knows who
// has subscribed, so that messages go to these only, and carry no subject.
//
// Locks, in the order in which they are taken: mu; interestMu; link.mu.
type bus struct {
	// immutable
	log        *slog.Logger
	limit      int // bytes queued for one peer
	maxMessage int // bytes

	recv    func(batch [][]byte) // set by Listen, before there are links
	all     atomic.Pointer[[]*link]
	dropped atomic.Uint64

	mu    sync.Mutex
	links map[string]*link // by the peer's incarnation
	subs  map[string]struct{}

	interestMu sync.RWMutex
	interest   map[string][]*link // by subject
	counts     map[*link]int      // of subjects

	// set before there are links
	learn func(addr string)        // of another node
	ended func(incarnation string) // of a node that seems to have; set by WatchPeers
}

var (
	_ buscluster.Bus           = (*bus)(nil)
	_ buscluster.BatchListener = (*bus)(nil)
	_ buscluster.Flusher       = (*bus)(nil)
	_ buscluster.Dropper       = (*bus)(nil)
	_ buscluster.PeerWatcher   = (*bus)(nil)
)

func newBus(log *slog.Logger, limit, maxMessage int) *bus {
	b := &bus{
		log: log, limit: limit, maxMessage: maxMessage, links: make(map[string]*link), subs: make(map[string]struct{}),
		interest: make(map[string][]*link), counts: make(map[*link]int),
	}
	b.all.Store(new([]*link))
	return b
}

// Listen implements the Bus.
func (b *bus) Listen(recv func([]byte)) error {
	return b.ListenBatch(func(batch [][]byte) {
		for _, data := range batch {
			recv(data)
		}
	})
}

// ListenBatch implements cluster.BatchListener.
func (b *bus) ListenBatch(recv func([][]byte)) error {
	b.recv = recv
	return nil
}

func (b *bus) deliver(messages [][]byte) {
	if len(messages) > 0 {
		b.recv(messages)
	}
}

// Publish implements the Bus.
func (b *bus) Publish(subject string, data []byte) error {
	b.interestMu.RLock()
	defer b.interestMu.RUnlock()
	for _, l := range b.interest[subject] {
		if !l.queue(framePublish, data) {
			b.dropped.Add(1)
		}
	}
	return nil
}

// Flush implements cluster.Flusher.
func (b *bus) Flush() {
	for _, l := range *b.all.Load() {
		if l.pending.Load() {
			l.flush()
		}
	}
}

// Subscribe implements the Bus.
func (b *bus) Subscribe(subject string) error { return b.subscription(frameSubscribe, subject) }

// Unsubscribe implements the Bus.
func (b *bus) Unsubscribe(subject string) error { return b.subscription(frameUnsubscribe, subject) }

func (b *bus) subscription(k frameKind, subject string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k == frameSubscribe {
		b.subs[subject] = struct{}{}
	} else {
		delete(b.subs, subject)
	}
	for _, l := range b.links {
		l.queue(k, []byte(subject))
		l.flush()
	}
	return nil
}

// Probe implements the Bus: there is no way between this node and itself.
func (b *bus) Probe(data []byte) error {
	b.recv([][]byte{slices.Clone(data)})
	return nil
}

// WatchPeers implements cluster.PeerWatcher.
func (b *bus) WatchPeers(f func(incarnation string)) { b.ended = f }

// linked reports whether there is a link to a node.
func (b *bus) linked(incarnation string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.links[incarnation] != nil
}

// Dropped implements cluster.Dropper.
func (b *bus) Dropped() uint64 { return b.dropped.Load() }

// add begins to use a link, in place of an older one to the same node, and
// tells the peer what this node wants to hear, and of the other nodes.
func (b *bus) add(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.links[l.peer.incarnation]; old != nil {
		old.end(fmt.Errorf("socketeer: mesh: replaced by a newer link"))
		close(old.removed)
		b.forget(old)
	}
	for subject := range b.subs {
		l.queue(frameSubscribe, []byte(subject))
	}
	for _, other := range b.links {
		if other.peer.addr != "" {
			l.queue(framePeer, []byte(other.peer.addr))
		}
		if l.peer.addr != "" {
			other.queue(framePeer, []byte(l.peer.addr))
			other.flush()
		}
	}
	b.links[l.peer.incarnation] = l
	b.publishLinks()
	l.flush()
}

// remove undoes add, if it has not been undone.
func (b *bus) remove(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.links[l.peer.incarnation] == l {
		delete(b.links, l.peer.incarnation)
		close(l.removed)
		b.publishLinks()
	}
	b.forget(l)
}

// publishLinks makes links known to Flush. With mu held.
func (b *bus) publishLinks() {
	all := make([]*link, 0, len(b.links))
	for _, l := range b.links {
		all = append(all, l)
	}
	b.all.Store(&all)
}

// awaitUnlinked returns when there is no link to a node, or ctx has ended.
func (b *bus) awaitUnlinked(ctx context.Context, incarnation string) {
	for ctx.Err() == nil {
		b.mu.Lock()
		l := b.links[incarnation]
		b.mu.Unlock()
		if l == nil {
			return
		}
		select {
		case <-l.removed:
		case <-ctx.Done():
		}
	}
}

// drain waits until all that was queued has been given to the kernel, or ctx
// has ended.
func (b *bus) drain(ctx context.Context) {
	for _, l := range *b.all.Load() {
		l.drain(ctx)
	}
}

// forget removes what a peer is interested in.
func (b *bus) forget(l *link) {
	b.interestMu.Lock()
	defer b.interestMu.Unlock()
	if _, any := b.counts[l]; !any {
		return
	}
	delete(b.counts, l)
	for subject, list := range b.interest {
		if i := slices.Index(list, l); i >= 0 {
			b.setInterest(subject, slices.Delete(list, i, i+1))
		}
	}
}

func (b *bus) setInterest(subject string, list []*link) {
	if len(list) == 0 {
		delete(b.interest, subject)
	} else {
		b.interest[subject] = list
	}
}

// control handles a frame that is no message.
func (b *bus) control(l *link, k frameKind, body []byte) error {
	switch k {
	case frameSubscribe, frameUnsubscribe:
		if !validSubject(body) {
			return errFrame
		}
		return b.interested(l, string(body), k == frameSubscribe)
	case framePeer:
		if len(body) > maxAddr {
			return errFrame
		}
		b.learn(string(body))
	}
	return nil
}

func (b *bus) interested(l *link, subject string, on bool) error {
	b.interestMu.Lock()
	defer b.interestMu.Unlock()
	list := b.interest[subject]
	i := slices.Index(list, l)
	switch {
	case on && i < 0:
		if b.counts[l] >= maxInterest {
			return fmt.Errorf("socketeer: mesh: a peer with more than %d subscriptions", maxInterest)
		}
		b.counts[l]++
		b.setInterest(subject, append(list, l))
	case !on && i >= 0:
		b.counts[l]--
		b.setInterest(subject, slices.Delete(list, i, i+1))
	}
	return nil
}
