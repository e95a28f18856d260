package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redis"
)

// site is a namespace with one socket that notes what it is handed.
type site struct {
	adapter.Adapter
	sid string

	mu      sync.Mutex
	handled []*adapter.Message
	changed chan struct{}
}

// open attaches a site.
func open(tb testing.TB, c *redis.Cluster, nsp string) *site {
	tb.Helper()
	s := &site{sid: c.Tag() + "0123456789abcdef", changed: make(chan struct{})}
	a, err := c.Open(patient(tb), nsp, s)
	if err != nil {
		tb.Fatal(err)
	}
	s.Adapter = a
	tb.Cleanup(func() { a.Close() })
	return s
}

func message(room, text string) *adapter.Message {
	m := &adapter.Message{Kind: adapter.Broadcast, Data: fmt.Appendf(nil, "[%q]", text)}
	if room != "" {
		m.Target.Rooms = []string{room}
	}
	return m
}

func (s *site) Handle(m *adapter.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = append(s.handled, m)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Answer answers for the one socket.
func (s *site) Answer(_ context.Context, m *adapter.Message, reply func(adapter.Response)) {
	s.Handle(m)
	r := adapter.Response{Last: true}
	if len(m.Target.Rooms) == 0 || slices.Contains(m.Target.Rooms, s.sid) {
		switch m.Kind {
		case adapter.Fetch:
			r.Sockets = []adapter.SocketInfo{{ID: s.sid, Rooms: []string{s.sid, "r"}, Handshake: []byte(`{}`), Data: []byte(`{}`)}}
		case adapter.Broadcast:
			reply(adapter.Response{Count: 1})
			r.SID, r.Data = s.sid, []byte(`["ack"]`)
		case adapter.ServerSideEmit:
			r.Data = []byte(`["answer"]`)
		}
	}
	reply(r)
}

// wait waits for an event and returns it.
func (s *site) wait(tb testing.TB, event string) *adapter.Message {
	tb.Helper()
	return s.until(tb, event, func(m *adapter.Message) bool {
		var data []json.RawMessage
		return json.Unmarshal(m.Data, &data) == nil && len(data) > 0 && string(data[0]) == fmt.Sprintf("%q", event)
	})
}

func (s *site) until(tb testing.TB, what string, fits func(*adapter.Message) bool) *adapter.Message {
	tb.Helper()
	for ctx := patient(tb); ; {
		s.mu.Lock()
		i, changed := slices.IndexFunc(s.handled, fits), s.changed
		var m *adapter.Message
		if i >= 0 {
			m = s.handled[i]
		}
		s.mu.Unlock()
		if m != nil {
			return m
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("%s does not come", what)
		}
	}
}
