package hub

import "sync"

// Each calls f once for each member that is in any of the rooms (everyone,
// when there are none) and in none of those in except. A member's id is a
// room. The lock of a room is held while f runs for its members: f must be
// quick and must not call the hub.
func (h *Hub[T]) Each(rooms, except []string, f func(T)) {
	skip := h.filter(except)
	switch len(rooms) {
	case 0:
		h.all.each(skip, nil, f)
	case 1:
		h.one(rooms[0], skip, nil, f)
	default:
		seen := sets.Get().(map[any]struct{})
		for _, name := range rooms {
			h.one(name, skip, seen, f)
		}
		clear(seen)
		sets.Put(seen)
	}
}

// sets are reused for broadcasts to several rooms. The keys are members.
var sets = sync.Pool{New: func() any { return make(map[any]struct{}) }}

// one visits the members of one room, and the member whose id it is.
func (h *Hub[T]) one(name string, skip *filter[T], seen map[any]struct{}, f func(T)) {
	r := h.room(name)
	if m, ok := h.Find(name); ok && !skip.has(m) && !visited(seen, m) {
		if r != nil && seen == nil { // a room that is called like a member
			seen = map[any]struct{}{m: {}}
		}
		f(m.Value)
	}
	if r != nil {
		r.each(skip, seen, f)
	}
}

func (r *room[T]) each(skip *filter[T], seen map[any]struct{}, f func(T)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if skip == nil && seen == nil {
		for _, m := range r.members {
			f(m.Value)
		}
		return
	}
	for _, m := range r.members {
		if !skip.has(m) && !visited(seen, m) {
			f(m.Value)
		}
	}
}

func visited[T any](seen map[any]struct{}, m *Member[T]) bool {
	if seen == nil {
		return false
	}
	if _, ok := seen[m]; ok {
		return true
	}
	seen[m] = struct{}{}
	return false
}

// filter says who is excepted. A nil filter excepts nobody.
type filter[T any] struct {
	members []*Member[T]
	rooms   []*room[T]
}

func (h *Hub[T]) filter(except []string) *filter[T] {
	var f *filter[T]
	for _, name := range except {
		m, isMember := h.Find(name)
		r := h.room(name)
		if !isMember && r == nil {
			continue
		}
		if f == nil {
			f = &filter[T]{}
		}
		if isMember {
			f.members = append(f.members, m)
		}
		if r != nil {
			f.rooms = append(f.rooms, r)
		}
	}
	return f
}

func (f *filter[T]) has(m *Member[T]) bool {
	if f == nil {
		return false
	}
	for _, x := range f.members {
		if x == m {
			return true
		}
	}
	if len(f.rooms) == 0 {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, p := range m.rooms {
		for _, r := range f.rooms {
			if p.room == r {
				return true
			}
		}
	}
	return false
}
