package adapter

import (
	"context"
	"slices"
	"sync"
	"time"
)

// memorySessions keeps sessions in the order in which they were saved, which
// is that in which they expire.
type memorySessions struct {
	limit int // bytes; immutable

	mu     sync.Mutex // guards the rest
	retain time.Duration
	byPID  map[string]*savedSession
	bytes  int
	oldest *savedSession // its prev is the newest
}

type savedSession struct {
	s          Session
	at         time.Time
	prev, next *savedSession // a ring
}

func (s *savedSession) size() int {
	n := 256 + len(s.s.SID) + len(s.s.PID) + len(s.s.Data)
	for _, r := range s.s.Rooms {
		n += len(r) + 16
	}
	return n
}

// SaveSession implements Log.
func (m *memory) SaveSession(_ context.Context, s *Session) error {
	c := *s
	c.Rooms, c.Data = slices.Clone(s.Rooms), slices.Clone(s.Data)
	l := &m.sessions
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(l.byPID[s.PID])
	l.add(&savedSession{s: c, at: time.Now()})
	l.trim()
	return nil
}

// DropSession implements Log.
func (m *memory) DropSession(_ context.Context, pid string) error {
	m.sessions.mu.Lock()
	defer m.sessions.mu.Unlock()
	m.sessions.remove(m.sessions.byPID[pid])
	return nil
}

// TakeSession implements Log.
func (m *memory) TakeSession(_ context.Context, pid string) (*Session, error) {
	l := &m.sessions
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim()
	found := l.byPID[pid]
	if found == nil {
		return nil, &Unrecoverable{Reason: NoSession}
	}
	l.remove(found)
	return &found.s, nil
}

func (l *memorySessions) add(s *savedSession) {
	if l.oldest == nil {
		s.prev, s.next = s, s
		l.oldest = s
	} else {
		s.prev, s.next = l.oldest.prev, l.oldest
		s.prev.next, s.next.prev = s, s
	}
	l.byPID[s.s.PID] = s
	l.bytes += s.size()
}

// remove takes out s, which may be nil.
func (l *memorySessions) remove(s *savedSession) {
	if s == nil {
		return
	}
	delete(l.byPID, s.s.PID)
	l.bytes -= s.size()
	if s.next == s {
		l.oldest = nil
		return
	}
	s.prev.next, s.next.prev = s.next, s.prev
	if l.oldest == s {
		l.oldest = s.next
	}
}

// trim forgets what is too old or too much.
func (l *memorySessions) trim() {
	expired := time.Now().Add(-l.retain)
	for l.oldest != nil && (l.bytes > l.limit || !l.oldest.at.After(expired)) {
		l.remove(l.oldest)
	}
}
