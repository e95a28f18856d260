package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// barrierRetry is when a barrier asks again those that have not answered: its
// frames may be lost like any other.
const barrierRetry = time.Second

// barriers makes sure that the cluster knows of this node's subscriptions: it
// asks every live node for a sign, and the question travels behind the
// subscriptions (see [Bus]). At most one round is under way; whoever comes
// meanwhile shares the next one, so a thousand joins cost two rounds.
type barriers struct {
	mu      sync.Mutex
	id      uint64
	current *round
	next    *round
}

type round struct {
	id       uint64
	answered chan struct{} // closed when nobody is waited for any more
	done     chan struct{} // closed for the callers

	// guarded by barriers.mu
	waiting map[string]string // incarnation -> name; nil before the round begins
	over    bool              // answered is closed
}

func newRound() *round { return &round{answered: make(chan struct{}), done: make(chan struct{})} }

// barrier returns when the subscriptions made before the call are known to
// all live nodes.
func (n *Node) barrier(ctx context.Context) error {
	b := &n.barriers
	b.mu.Lock()
	if b.next == nil {
		b.next = newRound()
	}
	r := b.next
	start := b.current == nil
	if start {
		b.advance()
	}
	b.mu.Unlock()
	if start && !n.spawn(func() { n.runBarriers(r) }) {
		return errClosed
	}
	select {
	case <-r.done:
		if n.ctx.Err() != nil {
			return errClosed
		}
		return nil
	case <-ctx.Done():
		return b.partial(r, context.Cause(ctx))
	case <-n.ctx.Done():
		return errClosed
	}
}

// advance makes the next round the current one. Called with mu held.
func (b *barriers) advance() {
	b.id++
	b.current, b.next = b.next, nil
	if b.current != nil {
		b.current.id = b.id
	}
}

// runBarriers runs rounds until nobody waits for another.
func (n *Node) runBarriers(r *round) {
	b := &n.barriers
	for r != nil {
		n.runBarrier(r)
		b.mu.Lock()
		close(r.done)
		b.advance()
		r = b.current
		b.mu.Unlock()
	}
}

// runBarrier asks the nodes that are live now and waits for them.
func (n *Node) runBarrier(r *round) {
	b := &n.barriers
	b.mu.Lock()
	r.waiting = make(map[string]string)
	for _, p := range n.view.Load().peers {
		r.waiting[p.incarnation] = p.name
	}
	b.finish(r)
	b.mu.Unlock()
	// A node that died before waiting was set has been removed from the view.
	live := n.view.Load().name
	for _, inc := range b.asked(r) {
		if _, ok := live[inc]; !ok {
			b.gone(inc)
		}
	}
	retry := time.NewTicker(barrierRetry)
	defer retry.Stop()
	for {
		for _, inc := range b.asked(r) {
			n.reply(frameSync, inc, r.id)
		}
		select {
		case <-r.answered:
			return
		case <-retry.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// asked returns who has not answered.
func (b *barriers) asked(r *round) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]string, 0, len(r.waiting))
	for inc := range r.waiting {
		list = append(list, inc)
	}
	return list
}

// finish ends the round if nobody is waited for. Called with mu held.
func (b *barriers) finish(r *round) {
	if len(r.waiting) == 0 && !r.over {
		close(r.answered)
		r.over = true
	}
}

// answered notes a node's sign.
func (b *barriers) answered(id uint64, incarnation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.current; r != nil && r.id == id {
		delete(r.waiting, incarnation)
		b.finish(r)
	}
}

// gone stops waiting for a node.
func (b *barriers) gone(incarnation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.current; r != nil && r.waiting != nil {
		delete(r.waiting, incarnation)
		b.finish(r)
	}
}

// partial names the nodes that a caller did not wait for.
func (b *barriers) partial(r *round, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := r.waiting
	if waiting == nil && b.current != nil {
		waiting = b.current.waiting // its round waits for these first
	}
	e := &adapter.PartialError{Cause: cause}
	for _, name := range waiting {
		e.Missing = append(e.Missing, name)
	}
	slices.Sort(e.Missing)
	return e
}
