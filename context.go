package socketeer

import (
	"context"
	"slices"
	"time"
)

// socketContext is a Socket as a context that ends with it. It costs nothing
// until somebody waits for it.
type socketContext Socket

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Deadline implements context.Context: there is none.
func (c *socketContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context: there are none.
func (c *socketContext) Value(any) any { return nil }

// Done implements context.Context.
func (c *socketContext) Done() <-chan struct{} {
	s := (*Socket)(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		if s.state.Load() == socketDisconnected {
			s.done = closedChan
		} else {
			s.done = make(chan struct{})
		}
	}
	return s.done
}

// Err implements context.Context.
func (c *socketContext) Err() error {
	if (*Socket)(c).state.Load() == socketDisconnected {
		return context.Canceled
	}
	return nil
}

// AfterFunc lets package context watch the socket without a goroutine.
func (c *socketContext) AfterFunc(f func()) (stop func() bool) {
	s := (*Socket)(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == socketDisconnected {
		go f()
		return func() bool { return false }
	}
	e := s.more()
	p := &f
	e.after = append(e.after, p)
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		before := len(e.after)
		e.after = slices.DeleteFunc(e.after, func(x *func()) bool { return x == p })
		return len(e.after) < before
	}
}
