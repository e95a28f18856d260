package nodepeers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// nobody is a namespace without sockets.
type nobody struct{}

func (nobody) Handle(*adapter.Message) {}
func (nobody) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// script is a Node.js peer that answers as told: the responses to a request.
type script struct {
	hub  *hub
	uid  string
	mu   sync.Mutex
	seen []*nodewire.Message
}

// nodejs adds one. answer may be nil: then it is frozen.
func (h *hub) nodejs(uid string, answer func(*nodewire.Message) []*nodewire.Message) (s *script, stop func()) {
	s = &script{hub: h, uid: uid}
	stop = h.listen("/", uid, func(m *nodewire.Message) {
		s.mu.Lock()
		s.seen = append(s.seen, m)
		s.mu.Unlock()
		if m.RequestID == "" || m.Type.Response() || answer == nil {
			return
		}
		for _, r := range answer(m) {
			r.NSP, r.RequestID = "/", m.RequestID
			if !h.classic {
				r.UID = uid
			}
			to := "" // the shared channel
			if !h.classic {
				to = m.UID
			}
			go func() {
				if err := h.publish(to, r); err != nil {
					panic(err)
				}
			}()
		}
	})
	return s, stop
}

// likeNode answers every request as a server with one socket does.
func likeNode(uid string) func(*nodewire.Message) []*nodewire.Message {
	return func(m *nodewire.Message) []*nodewire.Message {
		switch m.Type {
		case nodewire.FetchSockets:
			return []*nodewire.Message{{Type: nodewire.FetchSocketsResponse, Sockets: []adapter.SocketInfo{
				{ID: "socket of " + uid, Rooms: []string{}, Handshake: []byte(`{}`), Data: []byte(`{}`)},
			}}}
		case nodewire.ServerSideEmit:
			return []*nodewire.Message{{Type: nodewire.ServerSideEmitResponse, Data: fmt.Appendf(nil, `[%q]`, uid)}}
		case nodewire.Broadcast:
			return []*nodewire.Message{
				{Type: nodewire.BroadcastClientCount, ClientCount: 1},
				{Type: nodewire.BroadcastAck, Data: fmt.Appendf(nil, `[%q]`, uid)},
			}
		}
		return nil
	}
}

// both runs a test with either wire.
func both(t *testing.T, run func(t *testing.T, h *hub)) {
	for name, classic := range map[string]bool{"classic": true, "sharded": false} {
		t.Run(name, func(t *testing.T) { run(t, newHub(classic)) })
	}
}

func open(t *testing.T, n *node) adapter.Adapter {
	t.Helper()
	a, err := n.Open(patient(t), "/", nobody{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func ask(ctx context.Context, a adapter.Adapter, kind adapter.Kind) (got []adapter.Response, err error) {
	m := &adapter.Message{Kind: kind}
	if kind == adapter.Broadcast || kind == adapter.ServerSideEmit {
		m.Data = []byte(`["e"]`)
	}
	err = a.Request(ctx, m, func(r adapter.Response) { got = append(got, r) })
	return got, err
}

func wantMissing(t *testing.T, err error, cause error, names ...string) {
	t.Helper()
	var partial *adapter.PartialError
	if !errors.As(err, &partial) || !errors.Is(err, cause) || !slices.Equal(partial.Missing, names) {
		t.Errorf("got %v, want missing %q and %v", err, names, cause)
	}
}

// TestNodePeers: they are waited for, all of them.
func TestNodePeers(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		a := open(t, h.start(t, "go"))
		for _, uid := range []string{"aaaaaa", "bbbbbb", "cccccc"} {
			h.nodejs(uid, likeNode(uid))
		}
		for _, kind := range []adapter.Kind{adapter.Fetch, adapter.ServerSideEmit, adapter.Broadcast, adapter.Join, adapter.Leave, adapter.Disconnect} {
			got, err := ask(patient(t), a, kind)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			count, acks, sockets := 0, 0, 0
			for _, r := range got {
				count += r.Count
				sockets += len(r.Sockets)
				if r.Data != nil {
					acks++
				}
			}
			want := [3]int{}
			switch kind {
			case adapter.Fetch:
				want[2] = 3
			case adapter.ServerSideEmit:
				want[1] = 3
			case adapter.Broadcast:
				want[0], want[1] = 3, 3
			}
			if got := [3]int{count, acks, sockets}; got != want {
				t.Errorf("%s: %v, want %v", kind, got, want)
			}
		}
		if h.lists != 1 {
			t.Errorf("peers were listed %d times", h.lists)
		}
	})
}

// TestJoinIsConfirmed: a join returns when a Node.js peer has answered what came
// after it, and not before.
func TestJoinIsConfirmed(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		a := open(t, h.start(t, "go"))
		s, _ := h.nodejs("aaaaaa", likeNode("aaaaaa"))
		if _, err := ask(patient(t), a, adapter.Join); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		var types []nodewire.Type
		for _, m := range s.seen {
			types = append(types, m.Type)
		}
		if !slices.Equal(types[:2], []nodewire.Type{nodewire.SocketsJoin, nodewire.FetchSockets}) || len(s.seen[1].Target.Rooms) != 1 {
			t.Errorf("it got %v", types)
		}
	})
}

// TestFrozenPeer: what came is there, and the missing are named as well as can
// be.
func TestFrozenPeer(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		a := open(t, h.start(t, "go"))
		h.nodejs("frozen", nil)
		few := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		_, err := ask(few(), a, adapter.Fetch)
		wantMissing(t, err, context.DeadlineExceeded, "node.js peer frozen")
		h.nodejs("lively", likeNode("lively"))
		name := "node.js peer frozen"
		if h.classic {
			name = "1 of node.js peers frozen, lively"
		}
		for _, kind := range []adapter.Kind{adapter.Fetch, adapter.ServerSideEmit, adapter.Broadcast, adapter.Leave} {
			got, err := ask(few(), a, kind)
			wantMissing(t, err, context.DeadlineExceeded, name)
			if len(got) == 0 {
				t.Errorf("%s: nothing came", kind)
			}
		}
	})
}

// TestPeerVanishes: it is not waited for, once that is seen.
func TestPeerVanishes(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		a := open(t, h.start(t, "go"))
		var stop func()
		var once sync.Once
		_, stop = h.nodejs("leaves", func(*nodewire.Message) []*nodewire.Message {
			once.Do(func() { go stop() })
			return nil
		})
		h.nodejs("stays", likeNode("stays"))
		got, err := ask(patient(t), a, adapter.Broadcast)
		wantMissing(t, err, nodepeers.ErrGone, "node.js peer leaves")
		if len(got) != 2 {
			t.Errorf("got %+v", got)
		}
		if got, err := ask(patient(t), a, adapter.Fetch); err != nil || len(got) != 1 {
			t.Errorf("later: %+v, %v", got, err)
		}
	})
}

// TestUnknownPeers: nodes so old that they have no channel of their own are
// counted.
func TestUnknownPeers(t *testing.T) {
	h := newHub(true)
	a := open(t, h.start(t, "go"))
	h.nodejs("old", likeNode("old"))
	h.mu.Lock()
	h.unnamed = "old"
	h.mu.Unlock()
	got, err := ask(patient(t), a, adapter.Fetch)
	if err != nil || len(got) != 1 || got[0].Node != "node.js peer" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRedisDoesNotAnswer: those who are known are named.
func TestRedisDoesNotAnswer(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n, other := h.start(t, "go"), h.start(t, "other")
		if err := n.WaitPeers(patient(t), 1); err != nil {
			t.Fatal(err)
		}
		a := open(t, n)
		open(t, other)
		h.mu.Lock()
		h.fail = errors.New("redis is away")
		h.mu.Unlock()
		_, err := ask(patient(t), a, adapter.Fetch)
		wantMissing(t, err, h.fail, "other")
	})
}

// TestManySockets: a Go node gets them in parts.
func TestManySockets(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		a := open(t, h.start(t, "go"))
		b := h.start(t, "b")
		many, err := b.Open(patient(t), "/", crowd(5000))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { many.Close() })
		got, err := ask(patient(t), a, adapter.Fetch)
		sockets := 0
		for _, r := range got {
			sockets += len(r.Sockets)
		}
		if err != nil || sockets != 5000 || len(got) < 4 || !got[len(got)-1].Last {
			t.Errorf("%d sockets in %d responses, %v", sockets, len(got), err)
		}
		// One of Node.js, in one message.
		responses := make(chan *nodewire.Message, 10)
		h.listen("/", "asker", func(m *nodewire.Message) {
			if m.Type.Response() {
				responses <- m
			}
		})
		if err := h.publish("", &nodewire.Message{UID: "asker", NSP: "/", Type: nodewire.FetchSockets, RequestID: "abcdef"}); err != nil {
			t.Fatal(err)
		}
		for {
			select {
			case m := <-responses:
				if len(m.Sockets) == 5000 {
					return
				}
			case <-patient(t).Done():
				t.Fatal("no answer")
			}
		}
	})
}

// crowd is a namespace with so many sockets.
type crowd int

func (crowd) Handle(*adapter.Message) {}
func (c crowd) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	r := adapter.Response{Last: true}
	for i := range c {
		r.Sockets = append(r.Sockets, adapter.SocketInfo{
			ID: fmt.Sprint(i), Rooms: []string{"r"}, Handshake: []byte(`{"x":"` + strings.Repeat("x", 200) + `"}`), Data: []byte(`{}`),
		})
	}
	reply(r)
}

// TestTooMuch: what the caller does not take is bounded, and named.
func TestTooMuch(t *testing.T) {
	h := newHub(false)
	h.queue = 1000
	a := open(t, h.start(t, "go"))
	h.nodejs("0123456789abcdef", func(*nodewire.Message) []*nodewire.Message {
		return []*nodewire.Message{{Type: nodewire.FetchSocketsResponse, Sockets: slices.Repeat([]adapter.SocketInfo{{ID: "s"}}, 100)}}
	})
	_, err := ask(patient(t), a, adapter.Fetch)
	var partial *adapter.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Missing, []string{"node.js peer 0123456789abcdef"}) {
		t.Errorf("got %v", err)
	}
}

func TestUID(t *testing.T) {
	a, b := nodepeers.UID("abcdefghijklmnop"), nodepeers.UID("abcdefghijklmnoq")
	if a == b || !nodepeers.IsGo(a) || len(a) != 18 {
		t.Errorf("%q %q", a, b)
	}
	for _, uid := range []string{"", "abcdef", "0123456789abcdef", "emitter", "go"} {
		if nodepeers.IsGo(uid) {
			t.Errorf("%q is taken for a Go node", uid)
		}
	}
}
