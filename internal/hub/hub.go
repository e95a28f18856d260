// Package hub is the index of who is in which room on this node.
//
// Lock order: shard, then room, then member. Each is held briefly and no
// foreign code runs under the first two, except what a caller of Each does for
// each member: it must not call back into the hub.
package hub

import (
	"hash/maphash"
	"slices"
	"sync"
)

const shards = 32

// Hub indexes members by room. The zero value is not ready; see [New].
type Hub[T any] struct {
	seed  maphash.Seed
	shard [shards]shard[T]
	all   room[T] // everyone
	ids   [shards]idShard[T]
}

type shard[T any] struct {
	mu    sync.RWMutex
	rooms map[string]*room[T]
}

type idShard[T any] struct {
	mu sync.RWMutex
	m  map[string]*Member[T]
}

// room holds its members in a slice, for iterating is what it is for. Each
// member knows its place.
type room[T any] struct {
	name      string
	mu        sync.RWMutex
	members   []*Member[T]
	announced bool // see Join
	dead      bool // emptied and out of the index
}

// Member is one socket's side of the index. Embed it, and set Value and ID
// before the first use.
type Member[T any] struct {
	Value T
	ID    string

	mu    sync.RWMutex
	rooms []place[T] // the room of everyone included
	gone  bool       // no room can be joined any more
}

type place[T any] struct {
	room *room[T]
	at   int // in room.members, guarded by the room's lock
}

// New returns an empty hub.
func New[T any]() *Hub[T] {
	h := &Hub[T]{seed: maphash.MakeSeed()}
	for i := range h.shard {
		h.shard[i].rooms = make(map[string]*room[T])
		h.ids[i].m = make(map[string]*Member[T])
	}
	return h
}

func (h *Hub[T]) slot(name string) int { return int(maphash.String(h.seed, name) % shards) }

// Add makes m reachable: by its id, and among everyone. It reports false when
// m has been removed before, or its id is taken.
func (h *Hub[T]) Add(m *Member[T]) bool {
	ids := &h.ids[h.slot(m.ID)]
	ids.mu.Lock()
	_, taken := ids.m[m.ID]
	if !taken {
		ids.m[m.ID] = m
	}
	ids.mu.Unlock()
	if taken {
		return false
	}
	if !h.all.add(m) {
		h.forget(m)
		return false
	}
	return true
}

func (h *Hub[T]) forget(m *Member[T]) {
	ids := &h.ids[h.slot(m.ID)]
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if ids.m[m.ID] == m {
		delete(ids.m, m.ID)
	}
}

// Remove takes m out of everything, for good, and returns the rooms it was
// in and those that are empty now.
func (h *Hub[T]) Remove(m *Member[T]) (left, emptied []string) {
	m.mu.Lock()
	if m.gone {
		m.mu.Unlock()
		return nil, nil
	}
	m.gone = true
	rooms := make([]*room[T], 0, len(m.rooms))
	for _, p := range m.rooms {
		rooms = append(rooms, p.room)
	}
	m.mu.Unlock()
	h.forget(m)
	for _, r := range rooms {
		if r == &h.all {
			r.remove(m)
			continue
		}
		left = append(left, r.name)
		if h.leave(r, m) {
			emptied = append(emptied, r.name)
		}
	}
	return left, emptied
}

// Join adds m to the room. announce is set until [Hub.Announced] has been
// called for the room, which ends with its last member. It reports ok false
// when m has been removed.
func (h *Hub[T]) Join(m *Member[T], name string) (announce, ok bool) {
	for {
		r := h.room(name)
		if r == nil {
			if r, ok = h.establish(m, name); r != nil {
				return ok, ok
			}
			continue // somebody else has, just now
		}
		if r.add(m) {
			return !r.isAnnounced(), true
		}
		if !r.isDead() {
			return false, false
		}
		// It was emptied meanwhile; a new one takes its place.
	}
}

// establish makes a room with its first member. It returns nil when there is one.
// A room in the index has had a member always: so whoever takes out the last
// one, and nobody else, finds out that it is empty.
func (h *Hub[T]) establish(m *Member[T], name string) (r *room[T], ok bool) {
	s := &h.shard[h.slot(name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[name] != nil {
		return nil, false
	}
	r = &room[T]{name: name}
	if ok = r.add(m); ok {
		s.rooms[name] = r
	}
	return r, ok
}

// Announced notes that the cluster knows of the room.
func (h *Hub[T]) Announced(name string) {
	if r := h.room(name); r != nil {
		r.mu.Lock()
		r.announced = true
		r.mu.Unlock()
	}
}

// Leave takes m out of the room, and reports whether that emptied it.
func (h *Hub[T]) Leave(m *Member[T], name string) (emptied bool) {
	r := h.room(name)
	return r != nil && h.leave(r, m)
}

func (h *Hub[T]) leave(r *room[T], m *Member[T]) bool {
	return r.remove(m) && h.drop(r)
}

// drop takes an empty room out of the index.
func (h *Hub[T]) drop(r *room[T]) bool {
	s := &h.shard[h.slot(r.name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.members) > 0 || r.dead {
		return false
	}
	r.dead = true
	delete(s.rooms, r.name)
	return true
}

func (h *Hub[T]) room(name string) *room[T] {
	s := &h.shard[h.slot(name)]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[name]
}

// Has reports whether the room has members, not counting the room that is a
// member's id.
func (h *Hub[T]) Has(name string) bool { return h.room(name) != nil }

// Rooms returns the names of all rooms that have members.
func (h *Hub[T]) Rooms() []string {
	var names []string
	for i := range h.shard {
		s := &h.shard[i]
		s.mu.RLock()
		for name := range s.rooms {
			names = append(names, name)
		}
		s.mu.RUnlock()
	}
	return names
}

// Find returns the member with this id.
func (h *Hub[T]) Find(id string) (*Member[T], bool) {
	ids := &h.ids[h.slot(id)]
	ids.mu.RLock()
	defer ids.mu.RUnlock()
	m, ok := ids.m[id]
	return m, ok
}

// Len returns how many members there are.
func (h *Hub[T]) Len() int {
	h.all.mu.RLock()
	defer h.all.mu.RUnlock()
	return len(h.all.members)
}

// Count returns how many rooms m is in, not counting its id.
func (h *Hub[T]) Count(m *Member[T]) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return max(len(m.rooms)-1, 0) // one is everyone's
}

// RoomsOf returns the rooms m is in, without its id.
func (h *Hub[T]) RoomsOf(m *Member[T]) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var names []string
	for _, p := range m.rooms {
		if p.room != &h.all {
			names = append(names, p.room.name)
		}
	}
	return names
}

// In reports whether m is in the room, or the room is its id.
func (h *Hub[T]) In(m *Member[T], name string) bool {
	if m.ID == name {
		return true
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.ContainsFunc(m.rooms, func(p place[T]) bool { return p.room != &h.all && p.room.name == name })
}

func (r *room[T]) isDead() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.dead
}

func (r *room[T]) isAnnounced() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.announced
}

// add reports false when the room is dead or the member gone. A member that is
// in already stays.
func (r *room[T]) add(m *Member[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.dead || m.gone {
		return false
	}
	for _, p := range m.rooms {
		if p.room == r {
			return true
		}
	}
	m.rooms = append(m.rooms, place[T]{r, len(r.members)})
	r.members = append(r.members, m)
	return true
}

// remove reports whether it removed the last member.
func (r *room[T]) remove(m *Member[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := m.take(r)
	if !ok {
		return false
	}
	last := len(r.members) - 1
	if at != last {
		moved := r.members[last]
		r.members[at] = moved
		moved.moved(r, at)
	}
	r.members[last] = nil
	r.members = r.members[:last]
	if cap(r.members) > 64 && last < cap(r.members)/4 {
		r.members = slices.Clone(r.members)
	}
	return last == 0
}

// take forgets the room and returns the place in it.
func (m *Member[T]) take(r *room[T]) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, p := range m.rooms {
		if p.room == r {
			m.rooms = slices.Delete(m.rooms, i, i+1)
			return p.at, true
		}
	}
	return 0, false
}

func (m *Member[T]) moved(r *room[T], at int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rooms {
		if m.rooms[i].room == r {
			m.rooms[i].at = at
			return
		}
	}
}
