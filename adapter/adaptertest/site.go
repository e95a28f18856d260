package adaptertest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// patience is how long anything may take that must happen.
const patience = 20 * time.Second

// site is one node's namespace as an adapter sees it: sockets in rooms that
// note what they receive.
type site struct {
	t    testing.TB
	node adapter.Factory
	name string
	tag  string
	a    adapter.Adapter
	lax  bool // messages to different targets have no order

	mu      sync.Mutex
	sockets map[string]*socket
	changed chan struct{}          // closed and replaced at every change
	handled []*adapter.Message     // everything handed to Handle, in order
	answer  func(*answering) bool  // if set and true, it has dealt with a request
	seen    func(*adapter.Message) // if set, told of everything handed to Handle
	wg      sync.WaitGroup
}

// answering is a request in progress at a site.
type answering struct {
	ctx   context.Context //nolint:containedctx // the request's, while it lasts
	m     *adapter.Message
	reply func(adapter.Response)
}

type socket struct {
	id    string
	rooms map[string]bool
	got   []string // what was emitted, with attachments appended
}

var (
	_ adapter.Local = (*site)(nil)
	_ adapter.Rooms = (*site)(nil)
)

// open attaches namespace nsp of every node.
func open(t testing.TB, nodes []adapter.Factory, nsp string) []*site {
	t.Helper()
	var sites []*site
	for i, f := range nodes {
		s := &site{
			t: t, node: f, name: fmt.Sprint("node ", i), tag: fmt.Sprintf("tag%d", i),
			sockets: make(map[string]*socket), changed: make(chan struct{}),
		}
		if n, ok := f.(adapter.Node); ok {
			s.name, s.tag = n.Name(), n.Tag()
		}
		a, err := f.Open(patient(t), nsp, s)
		if err != nil {
			t.Fatalf("open %q on %s: %v", nsp, s.name, err)
		}
		s.a = a
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			s.wg.Wait()
		})
		sites = append(sites, s)
	}
	return sites
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newID(tag string) string {
	var b [12]byte
	rand.Read(b[:])
	return tag + base64.RawURLEncoding.EncodeToString(b[:])
}

// connect adds a socket with an id of this node, in the given rooms.
func (s *site) connect(rooms ...string) *socket {
	s.t.Helper()
	return s.connectAs(newID(s.tag), rooms...)
}

// connectAs adds a socket with any id. A foreign one is announced, any if the
// adapter needs that.
func (s *site) connectAs(id string, rooms ...string) *socket {
	s.t.Helper()
	k := &socket{id: id, rooms: map[string]bool{id: true}}
	s.mu.Lock()
	s.sockets[id] = k
	s.mu.Unlock()
	ids, ok := s.a.(adapter.IDs)
	if !strings.HasPrefix(id, s.tag) || ok && ids.NeedsIDs() {
		rooms = append(rooms, id)
	}
	if err := s.join(patient(s.t), k, rooms...); err != nil {
		s.t.Fatalf("join: %v", err)
	}
	return k
}

// join is the order a namespace keeps: index first, then the cluster.
func (s *site) join(ctx context.Context, k *socket, rooms ...string) error {
	s.mu.Lock()
	for _, r := range rooms {
		k.rooms[r] = true
	}
	s.signal()
	s.mu.Unlock()
	for _, r := range rooms {
		if err := s.a.Join(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) leave(k *socket, rooms ...string) {
	for _, r := range rooms {
		s.mu.Lock()
		delete(k.rooms, r)
		empty := !s.hasRoom(r)
		s.signal()
		s.mu.Unlock()
		if empty {
			s.a.Leave(r)
		}
	}
}

func (s *site) hasRoom(r string) bool {
	for _, k := range s.sockets {
		if k.rooms[r] {
			return true
		}
	}
	return false
}

// HasRoom implements adapter.Rooms.
func (s *site) HasRoom(r string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hasRoom(r)
}

// signal wakes those who wait. Called with mu held.
func (s *site) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns when cond, called with mu held, is true.
func (s *site) wait(what string, cond func() bool) {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			s.t.Fatalf("%s: waited %v for %s", s.name, patience, what)
		}
	}
}

// matching returns the target's sockets. Called with mu held.
func (s *site) matching(t *adapter.Target) (list []*socket) {
	for _, id := range slices.Sorted(maps.Keys(s.sockets)) {
		k := s.sockets[id]
		in := len(t.Rooms) == 0
		for _, r := range t.Rooms {
			in = in || k.rooms[r]
		}
		for _, r := range t.Except {
			in = in && !k.rooms[r]
		}
		if in {
			list = append(list, k)
		}
	}
	return list
}

// Handle implements adapter.Local.
func (s *site) Handle(m *adapter.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = append(s.handled, m)
	if s.seen != nil {
		s.seen(m)
	}
	s.carryOut(m)
	s.signal()
}

// carryOut does to the sockets what a message asks for; what has to wait for
// the cluster is done on another goroutine. Called with mu held.
func (s *site) carryOut(m *adapter.Message) {
	to := s.matching(&m.Target)
	switch m.Kind {
	case adapter.Broadcast:
		for _, k := range to {
			k.got = append(k.got, text(m))
		}
	case adapter.Join:
		for _, k := range to {
			for _, r := range m.Rooms {
				k.rooms[r] = true
			}
		}
	case adapter.Leave:
		for _, k := range to {
			for _, r := range m.Rooms {
				delete(k.rooms, r)
			}
		}
	case adapter.Disconnect:
		for _, k := range to {
			delete(s.sockets, k.id)
		}
	}
}

// event is the Data of a message that says text and has so many attachments.
func event(text string, attachments int) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string
	}
	data := append([]byte{'['}, quoted...)
	for i := range attachments {
		data = fmt.Appendf(data, `,{"_placeholder":true,"num":%d}`, i)
	}
	return append(data, ']')
}

// text undoes event and appends the attachments.
func text(m *adapter.Message) string {
	var list []json.RawMessage
	var s string
	if json.Unmarshal(m.Data, &list) != nil || len(list) != 1+len(m.Attachments) || json.Unmarshal(list[0], &s) != nil {
		return fmt.Sprintf("not an event: %s with %d attachments", m.Data, len(m.Attachments))
	}
	for _, b := range m.Attachments {
		s += string(b)
	}
	return s
}

// Answer implements adapter.Local.
func (s *site) Answer(ctx context.Context, m *adapter.Message, reply func(adapter.Response)) {
	s.mu.Lock()
	s.handled = append(s.handled, m)
	answer := s.answer
	s.carryOut(m)
	to := s.matching(&m.Target)
	var infos []adapter.SocketInfo
	var ids []string
	for _, k := range to {
		ids = append(ids, k.id)
		infos = append(infos, adapter.SocketInfo{
			ID: k.id, Rooms: slices.Sorted(maps.Keys(k.rooms)), Handshake: []byte(`{"h":1}`), Data: []byte(`{"d":2}`),
		})
	}
	s.signal()
	s.mu.Unlock()
	if answer != nil && answer(&answering{ctx, m, reply}) {
		return
	}
	s.wg.Go(func() {
		switch m.Kind {
		case adapter.Fetch:
			for _, info := range infos {
				reply(adapter.Response{Sockets: []adapter.SocketInfo{info}})
			}
		case adapter.Broadcast:
			reply(adapter.Response{Count: len(ids)})
			for _, id := range ids {
				reply(adapter.Response{SID: id, Data: fmt.Appendf(nil, `["ack of %s"]`, id)})
			}
		case adapter.ServerSideEmit:
			data := fmt.Appendf(nil, `[{"node":"%s","b":{"_placeholder":true,"num":0}}]`, s.name)
			reply(adapter.Response{Data: data, Attachments: m.Attachments[:1], Last: true})
			return
		case adapter.Join:
			for _, r := range m.Rooms {
				if len(ids) > 0 && s.a.Join(ctx, r) != nil {
					return
				}
			}
		}
		reply(adapter.Response{Last: true})
	})
}

// emit delivers to this site's sockets and publishes to the others.
func (s *site) emit(t adapter.Target, text string, attachments ...[]byte) {
	s.t.Helper()
	m := &adapter.Message{Kind: adapter.Broadcast, Target: t, Data: event(text, len(attachments)), Attachments: attachments}
	s.mu.Lock()
	s.carryOut(m)
	s.signal()
	s.mu.Unlock()
	if err := s.a.Publish(m); err != nil {
		s.t.Errorf("publish from %s: %v", s.name, err)
	}
}

// received waits until the socket has received last, and compares everything
// it got so far with want; last is part of want.
func (s *site) received(k *socket, want ...string) {
	s.t.Helper()
	last := want[len(want)-1]
	s.wait(last, func() bool { return slices.Contains(k.got, last) && (!s.lax || len(k.got) >= len(want)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	got := k.got
	if s.lax {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: socket got %s, want %s", s.name, brief(got), brief(want))
	}
}

func brief(list []string) string {
	var b strings.Builder
	for i, s := range list {
		if i == 20 {
			fmt.Fprintf(&b, " ... %d in all", len(list))
			break
		}
		fmt.Fprintf(&b, " %.60q", s)
	}
	return b.String()
}
