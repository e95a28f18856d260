package socketeer

import (
	"context"
	"slices"
)

// Broadcast returns a broadcast to everyone in the namespace but this socket.
func (s *Socket) Broadcast() Broadcast { return Broadcaster{nsp: s.nsp}.Except(s.ID()) }

// To returns a broadcast to the sockets in any of the rooms, but this one.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// In is To.
func (s *Socket) In(rooms ...string) Broadcast { return s.To(rooms...) }

// Except returns a broadcast to everyone but this socket and those in any of
// the rooms.
func (s *Socket) Except(rooms ...string) Broadcast { return s.Broadcast().Except(rooms...) }

// Local returns a broadcast to the sockets of this node but this one.
func (s *Socket) Local() Broadcast { return s.Broadcast().Local() }

// Join adds the socket to rooms. It returns when the cluster knows: whatever
// any node sends to the rooms from then on arrives. After a disconnect it
// returns ErrDisconnected, for more than [WithMaxRooms] rooms ErrTooManyRooms;
// when the cluster does not answer until ctx ends, an error, but the socket is in
// the rooms all the same.
//
// Anyone may be in any room, and rooms have one space of names with the ids of
// sockets and with "user:"+user of [Socket.SetUser]: whoever is in the room of
// another socket's id or of another user gets what is sent to it. So do not join
// a room by a name that the client chose; put a prefix before it, or check it.
func (s *Socket) Join(ctx context.Context, rooms ...string) error {
	if s.state.Load() == socketConnecting {
		if later, err := s.joinLater(rooms); later {
			return err
		}
	}
	return s.join(ctx, rooms)
}

func (s *Socket) join(ctx context.Context, rooms []string) error {
	s.awaitTurn(ctx)
	if s.state.Load() == socketDisconnected { // and may be in the hub yet
		return ErrDisconnected
	}
	defer s.saveSession(ctx)
	var first error
	for _, room := range rooms {
		if room == s.ID() {
			continue
		}
		if s.nsp.hub.Count(&s.member) >= s.nsp.srv.o.maxRooms && !s.nsp.hub.In(&s.member, room) {
			return ErrTooManyRooms
		}
		announce, ok := s.nsp.hub.Join(&s.member, room)
		if !ok {
			return ErrDisconnected
		}
		if announce {
			s.client.conn.Flush()
			if err := s.nsp.announce(ctx, room); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// joinLater keeps rooms until the socket is connected. It reports false when
// it is now.
func (s *Socket) joinLater(rooms []string) (later bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != socketConnecting {
		return false, nil
	}
	e := s.more()
	for _, room := range rooms {
		switch {
		case slices.Contains(e.rooms, room):
		case len(e.rooms) >= s.client.srv.o.maxRooms:
			return true, ErrTooManyRooms
		default:
			e.rooms = append(e.rooms, room)
		}
	}
	return true, nil
}

// Leave takes the socket out of rooms. It does not wait for the cluster.
func (s *Socket) Leave(rooms ...string) {
	s.mu.Lock()
	if s.state.Load() == socketConnecting && s.extra != nil {
		s.extra.rooms = slices.DeleteFunc(s.extra.rooms, func(r string) bool { return slices.Contains(rooms, r) })
	}
	s.mu.Unlock()
	out := s.nsp.out
	// When too much waits, what was sent before may pass by this socket.
	if out == nil || out.inTurn(0, func() { s.leave(rooms) }) != nil {
		s.leave(rooms)
	}
}

func (s *Socket) leave(rooms []string) {
	for _, room := range rooms {
		if room != s.ID() && s.nsp.hub.Leave(&s.member, room) {
			s.nsp.withdraw([]string{room})
		}
	}
	s.changed()
}

// Rooms returns the rooms the socket is in, its own id first. While it
// disconnects, those it was in.
func (s *Socket) Rooms() []string {
	rooms := []string{s.ID()}
	s.mu.Lock()
	if s.extra != nil {
		rooms = append(rooms, s.extra.rooms...)
	}
	s.mu.Unlock()
	return append(rooms, s.roomsOf()...)
}

// roomsOf are the rooms the socket is in, without that of its id, which a
// recovered one has joined.
func (s *Socket) roomsOf() []string {
	return slices.DeleteFunc(s.nsp.hub.RoomsOf(&s.member), func(room string) bool { return room == s.ID() })
}
