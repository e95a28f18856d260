package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// interest is the rooms of one namespace whose messages this node receives.
type interest struct {
	a      *namespace
	holder adapter.Rooms // nil if local does not tell

	mu     sync.Mutex
	rooms  map[string]*room
	closed bool
}

type room struct {
	confirmed bool      // a barrier has passed since the subscription
	wanted    bool      // the last word was Join
	queued    bool      // in the leaving queue
	leaveAt   time.Time // when not wanted
}

func (in *interest) init(a *namespace) {
	in.a = a
	in.rooms = make(map[string]*room)
	in.holder, _ = a.local.(adapter.Rooms)
}

func (in *interest) size() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.rooms)
}

// want returns the room's state, subscribing if need be.
func (in *interest) want(name string) (*room, bool, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return nil, false, errAdapterClosed
	}
	r := in.rooms[name]
	if r == nil {
		if err := in.a.node.bus.Subscribe(appendToken(in.a.roomPrefix, name)); err != nil {
			return nil, false, err
		}
		r = &room{}
		in.rooms[name] = r
	}
	r.wanted = true
	return r, r.confirmed, nil
}

// confirm notes that a barrier has passed. It is false if the room was
// unsubscribed meanwhile.
func (in *interest) confirm(name string, r *room) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.rooms[name] != r {
		return in.closed
	}
	r.confirmed = true
	return true
}

// isConfirmed reports whether a room's messages arrive already.
func (in *interest) isConfirmed(name string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.rooms[name]
	return r != nil && r.confirmed
}

// Join implements [adapter.Adapter]. If ctx ends first, the error is a
// *adapter.PartialError with the nodes that have not confirmed; messages of
// the others arrive already, and theirs will.
func (a *namespace) Join(ctx context.Context, name string) error {
	for {
		r, confirmed, err := a.interest.want(name)
		if err != nil || confirmed {
			return err
		}
		if err := a.node.barrier(ctx); err != nil {
			return err
		}
		if a.interest.confirm(name, r) {
			return nil
		}
	}
}

// Leave implements [adapter.Adapter]. The room's messages keep coming for
// Config.LeaveDelay, in case somebody joins again.
func (a *namespace) Leave(name string) {
	in := &a.interest
	in.mu.Lock()
	r := in.rooms[name]
	if r == nil || in.closed {
		in.mu.Unlock()
		return
	}
	r.wanted = false
	r.leaveAt = time.Now().Add(a.node.cfg.LeaveDelay)
	first := !r.queued
	r.queued = true
	at := r.leaveAt
	in.mu.Unlock()
	if first {
		a.node.leaving.push(leave{in, name, r, at})
	}
}

// expire unsubscribes a room that is still unwanted, or returns when to look
// again.
//
// The namespace adds a socket to its index and then calls Join; so a room
// found empty here, with mu held, either stays empty or gets a Join that
// waits for mu and subscribes anew. That holds even if the namespace's calls
// of Join and Leave have overtaken each other.
func (in *interest) expire(l *leave, now time.Time) (again time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || in.rooms[l.name] != l.room {
		return again
	}
	if l.room.wanted {
		l.room.queued = false
		return again
	}
	if now.Before(l.room.leaveAt) {
		return l.room.leaveAt
	}
	if in.holder != nil && in.holder.HasRoom(l.name) {
		l.room.wanted, l.room.queued = true, false
		return again
	}
	delete(in.rooms, l.name)
	if err := in.a.node.bus.Unsubscribe(appendToken(in.a.roomPrefix, l.name)); err != nil {
		in.a.node.log.Debug("not unsubscribed", "nsp", in.a.name, "room", l.name, "err", err)
	}
	return again
}

// close unsubscribes everything.
func (in *interest) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for name := range in.rooms {
		if err := in.a.node.bus.Unsubscribe(appendToken(in.a.roomPrefix, name)); err != nil {
			in.a.node.log.Debug("not unsubscribed", "nsp", in.a.name, "room", name, "err", err)
			break // the bus is closed; so are the other subscriptions
		}
	}
	clear(in.rooms)
}

// leaving is the queue of rooms to be left, of all namespaces. The delay is
// the same for all, so the queue is in order of time.
type leaving struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	queue []leave
}

type leave struct {
	in   *interest
	name string
	room *room
	at   time.Time
}

func (q *leaving) push(l leave) {
	q.mu.Lock()
	q.queue = append(q.queue, l)
	first := len(q.queue) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// pop removes what is due and returns when the next one is.
func (q *leaving) pop(now time.Time) (due []leave, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := 0
	for i < len(q.queue) && !q.queue[i].at.After(now) {
		i++
	}
	due = append(due, q.queue[:i]...)
	rest := copy(q.queue, q.queue[i:])
	clear(q.queue[rest:])
	q.queue = q.queue[:rest]
	if rest > 0 {
		next = q.queue[0].at
	}
	return due, next
}

// leaveSteps is how many times in a LeaveDelay the queue is looked at at most;
// leaves close together are dealt with together.
const leaveSteps = 50

// leaveLoop leaves rooms when their time has come.
func (n *Node) leaveLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		due, next := n.leaving.pop(now)
		for _, l := range due {
			if again := l.in.expire(&l, now); !again.IsZero() {
				l.at = again
				n.leaving.push(l)
			}
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(time.Until(next), n.cfg.LeaveDelay/leaveSteps)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-n.leaving.wake:
		case <-n.ctx.Done():
			return
		}
	}
}
