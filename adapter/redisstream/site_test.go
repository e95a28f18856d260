package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
)

// site is a namespace of a node that notes what it sees, in its order.
type site struct {
	t  testing.TB
	a  adapter.Adapter
	l  adapter.Log
	mu sync.Mutex

	seen    []event // messages of others and its own, when they are kept
	changed chan struct{}
}

type event struct{ data, offset string }

func (s *site) see(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Handle implements adapter.Local.
func (s *site) Handle(m *adapter.Message) { s.see(event{string(m.Data), m.Offset}) }

// Answer implements adapter.Local.
func (s *site) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// attach opens a namespace on a node, with a log.
func attach(t testing.TB, c *redisstream.Cluster, nsp string) *site {
	t.Helper()
	s := &site{t: t, changed: make(chan struct{})}
	a, err := c.Open(patient(t), nsp, s)
	if err != nil {
		t.Fatal(err)
	}
	s.a, s.l = a, a.(adapter.Log)
	s.l.Retain(time.Minute)
	t.Cleanup(func() { a.Close() })
	return s
}

// emit appends a broadcast.
func (s *site) emit(data string, rooms ...string) {
	s.t.Helper()
	data = fmt.Sprintf(`["e",%q]`, data)
	err := s.l.Append(&adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: rooms}, Data: []byte(data)},
		func(offset string) { s.see(event{data, offset}) })
	if err != nil {
		s.t.Errorf("append: %v", err)
	}
}

// wait returns what the site has seen when cond is true of it.
func (s *site) wait(what string, cond func(seen []event) bool) []event {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		seen, changed := slices.Clone(s.seen), s.changed
		s.mu.Unlock()
		if cond(seen) {
			return seen
		}
		select {
		case <-changed:
		case <-timeout:
			s.t.Fatalf("waited %v for %s; seen %d", patience, what, len(seen))
		}
	}
}

func (s *site) waitLen(n int) []event {
	s.t.Helper()
	return s.wait(fmt.Sprint(n, " events"), func(seen []event) bool { return len(seen) >= n })
}

// offsetOf returns the offset that something was seen with.
func (s *site) offsetOf(data string) string {
	s.t.Helper()
	data = fmt.Sprintf(`["e",%q]`, data)
	for _, e := range s.wait(data, func(seen []event) bool {
		return slices.ContainsFunc(seen, func(e event) bool { return e.data == data })
	}) {
		if e.data == data {
			return e.offset
		}
	}
	return ""
}

// missed asks for what a session in the given rooms missed.
func (s *site) missed(offset string, rooms ...string) ([]string, error) {
	list, err := s.l.Missed(patient(s.t), &adapter.Session{SID: "s", PID: "p", Rooms: rooms}, offset)
	var out []string
	for _, m := range list {
		out = append(out, string(m.Data))
	}
	return out, err
}

// reason returns why something cannot be recovered; "" for no error.
func reason(t testing.TB, err error) string {
	t.Helper()
	var u *adapter.Unrecoverable
	if err != nil && !errors.As(err, &u) {
		t.Errorf("got %v, which is no *adapter.Unrecoverable", err)
	}
	if u == nil {
		return ""
	}
	return u.Reason
}

// inOrder checks that offsets rise, but for those that are missing.
func inOrder(t testing.TB, s *site, seen []event) {
	t.Helper()
	last := ""
	for i, e := range seen {
		if e.offset == "" {
			continue
		}
		if last != "" && !s.l.Newer(e.offset, last) {
			t.Fatalf("event %d, %s, has offset %s after %s", i, e.data, e.offset, last)
		}
		last = e.offset
	}
}
