// Package interest keeps the rooms whose messages a node receives: subscribed
// when the first member comes, given up some time after the last has left, so
// that a room that is left and joined again costs nothing.
package interest

import (
	"context"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// Subscriber makes the subscriptions of one namespace. Its methods are called
// with a lock held, so that changes of one room come in their order; they do
// not wait.
type Subscriber interface {
	// Begin subscribes to a room. Wait, which may be called more than once,
	// returns when the subscription is in force, or with ctx's error while it
	// may still come into force, or with another error if it will not.
	Begin(room string) (wait func(context.Context) error, err error)
	// End undoes Begin.
	End(room string)
}

// Set is the rooms of one namespace. All methods may be called concurrently.
type Set struct {
	queue  *Queue
	sub    Subscriber
	holder adapter.Rooms // nil if the namespace does not tell

	mu     sync.RWMutex
	rooms  map[string]*room
	closed error
}

type room struct {
	wait    func(context.Context) error // nil once it has returned nil
	wanted  bool                        // the last word was Join
	queued  bool                        // in the queue of those to be left
	leaveAt time.Time                   // when not wanted
}

// New returns an empty set. The local side is asked whether a room is empty, if
// it is an [adapter.Rooms].
func New(q *Queue, sub Subscriber, local adapter.Local) *Set {
	s := &Set{queue: q, sub: sub, rooms: make(map[string]*room)}
	s.holder, _ = local.(adapter.Rooms)
	return s
}

// Len returns how many rooms there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.rooms)
}

// Has reports whether the room is subscribed to.
func (s *Set) Has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[name] != nil
}

// Confirmed reports whether the subscription to the room is in force.
func (s *Set) Confirmed(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.rooms[name]
	return r != nil && r.wait == nil
}

// Empty reports whether a room is known to have no members.
func (s *Set) Empty(name string) bool { return s.holder != nil && !s.holder.HasRoom(name) }

// Join returns when the room is subscribed to.
func (s *Set) Join(ctx context.Context, name string) error {
	for {
		r, wait, err := s.want(name)
		if err != nil || wait == nil {
			return err
		}
		if err := wait(ctx); err != nil {
			if ctx.Err() == nil {
				s.forget(name, r)
			}
			return err
		}
		if s.confirm(name, r) {
			return nil
		}
	}
}

// want returns the room's state, subscribing if need be, and what to wait for;
// nil if the subscription is in force.
func (s *Set) want(name string) (*room, func(context.Context) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, nil, s.closed
	}
	r := s.rooms[name]
	if r == nil {
		wait, err := s.sub.Begin(name)
		if err != nil {
			return nil, nil, err
		}
		r = &room{wait: wait}
		s.rooms[name] = r
	}
	r.wanted = true
	return r, r.wait, nil
}

// confirm notes that the subscription is in force. It is false if it has been
// ended meanwhile.
func (s *Set) confirm(name string, r *room) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[name] != r {
		return s.closed != nil
	}
	r.wait = nil
	return true
}

// forget drops a subscription that could not be made.
func (s *Set) forget(name string, r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[name] == r {
		delete(s.rooms, name)
		s.sub.End(name)
	}
}

// Leave gives the room up once the queue's delay has passed, unless it is
// joined again.
func (s *Set) Leave(name string) {
	s.mu.Lock()
	r := s.rooms[name]
	if r == nil || s.closed != nil {
		s.mu.Unlock()
		return
	}
	r.wanted = false
	r.leaveAt = time.Now().Add(s.queue.delay)
	first := !r.queued
	r.queued = true
	at := r.leaveAt
	s.mu.Unlock()
	if first {
		s.queue.push(leave{s, name, r, at})
	}
}

// expire ends a subscription that is still unwanted, or returns when to look
// again.
//
// The namespace adds a socket to its index and then calls Join; so a room found
// empty here, with mu held, either stays empty or gets a Join that waits for mu
// and subscribes anew. That holds even if the namespace's calls of Join and
// Leave have overtaken each other.
func (s *Set) expire(l *leave, now time.Time) (again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil || s.rooms[l.name] != l.room {
		return again
	}
	if l.room.wanted {
		l.room.queued = false
		return again
	}
	if now.Before(l.room.leaveAt) {
		return l.room.leaveAt
	}
	if s.holder != nil && s.holder.HasRoom(l.name) {
		l.room.wanted, l.room.queued = true, false
		return again
	}
	delete(s.rooms, l.name)
	s.sub.End(l.name)
	return again
}

// Close ends all subscriptions. From then on Join returns err.
func (s *Set) Close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return
	}
	s.closed = err
	for name := range s.rooms {
		s.sub.End(name)
	}
	clear(s.rooms)
}
