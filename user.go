package socketeer

import "context"

// userRoom is the room of a user's sockets.
func userRoom(user string) string { return "user:" + user }

// SetUser says who the client is, and joins the room "user:"+user: what is sent
// to that room reaches all sockets of the user, on all nodes. It is meant for a
// connect middleware, and works at any time: the room of another user set
// before is left. An empty user is nobody. It waits, and fails, as Join does.
//
// "user:"+user is a room like others: a handler that joins rooms by names that
// clients choose lets them into it. See [Socket.Join].
func (s *Socket) SetUser(ctx context.Context, user string) error {
	s.mu.Lock()
	e := s.more()
	before := e.user
	e.user = user
	s.mu.Unlock()
	if before == user {
		return nil
	}
	defer s.changed()
	if before != "" {
		s.Leave(userRoom(before))
	}
	if user == "" {
		return nil
	}
	return s.Join(ctx, userRoom(user))
}

// User returns what was set by SetUser, or "".
func (s *Socket) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return ""
	}
	return s.extra.user
}
