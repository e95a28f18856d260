package socketeer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
)

// scripted is an adapter that does what a test wants: for clusters that cannot
// be made to fail on purpose, and for messages that no Go node sends.
type scripted struct {
	openErr, err error

	mu     sync.Mutex
	locals map[string]adapter.Local
}

func (f *scripted) Open(_ context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	if nsp != "/" && f.openErr != nil {
		return nil, f.openErr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locals == nil {
		f.locals = map[string]adapter.Local{}
	}
	f.locals[nsp] = local
	return scriptedAdapter{f}, nil
}

// local is the server's side.
func (f *scripted) local(nsp string) adapter.Local {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.locals[nsp]
}

type scriptedAdapter struct{ f *scripted }

func (a scriptedAdapter) Publish(*adapter.Message) error { return a.f.err }
func (a scriptedAdapter) Request(context.Context, *adapter.Message, func(adapter.Response)) error {
	return a.f.err
}
func (a scriptedAdapter) Join(context.Context, string) error { return a.f.err }
func (a scriptedAdapter) Leave(string)                       {}
func (a scriptedAdapter) Close() error                       { return a.f.err }

// What the cluster cannot do works on this node, and whoever asked is told.
func TestClusterThatFails(t *testing.T) {
	away := errors.New("cluster is away")
	f := &scripted{err: away}
	n := start(t, socketeer.WithAdapter(f))
	t.Cleanup(func() { f.err = nil }) // before the server is closed
	n.UseConnect(guard(func(ctx context.Context, s *sock) error { return s.Join(ctx, "early") }))
	c := client(t, n, "/")
	s := n.socket(t, c)
	if !n.log.has("joining rooms failed", away.Error()) {
		t.Errorf("log: %s", n.log)
	}
	if err := s.Join(ctx(t), "a", "b"); !errors.Is(err, away) {
		t.Errorf("Join: %v", err)
	}
	equal(t, "Rooms", s.Rooms(), []string{c.id, "early", "a", "b"})
	for name, err := range map[string]error{
		"Emit":           n.To("a").Emit("emit"),
		"Join":           n.To("a").Join(ctx(t), "c"),
		"Leave":          n.To("a").Leave(ctx(t), "b"),
		"ServerSideEmit": n.ServerSideEmit("x"),
	} {
		if !errors.Is(err, away) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.expect("emit")
	equal(t, "Rooms", s.Rooms(), []string{c.id, "early", "a", "c"})
	if err := n.Local().To("c").Emit("local"); err != nil {
		t.Error(err)
	}
	c.expect("local")
	done := askAll(t, n.All(), ctx(t), "question")
	c.reply(c.expect("question"), "yes")
	got := recv(t, "the replies", done)
	var e *socketeer.AckError
	if !errors.As(got.err, &e) || !errors.Is(got.err, away) || len(got.replies) != 1 {
		t.Errorf("EmitWithAck: %v, %v", got.replies, got.err)
	}
	found := 0
	for _, err := range n.All().Sockets(ctx(t)) {
		if err == nil {
			found++
		} else if !errors.Is(err, away) {
			t.Errorf("Sockets: %v", err)
		}
	}
	if found != 1 {
		t.Errorf("%d sockets", found)
	}
	if err := n.All().Disconnect(ctx(t), false); !errors.Is(err, away) {
		t.Errorf("Disconnect: %v", err)
	}
	c.left()
}

// A namespace that cannot be connected to the cluster works on its node.
func TestNamespaceWithoutCluster(t *testing.T) {
	f := &scripted{openErr: errors.New("cluster is away")}
	n := start(t, socketeer.WithAdapter(f))
	if _, err := n.Open(ctx(t), "/chat"); !errors.Is(err, f.openErr) {
		t.Errorf("Open: %v", err)
	}
	chat := n.Of("/chat")
	if n.Of("/chat") != chat {
		t.Error("there are two of them")
	}
	if !n.log.has("not part of the cluster", "/chat", "cluster is away") {
		t.Errorf("log: %s", n.log)
	}
	chat.On("ok", answer("ok"))
	chat.OnConnect(func(ctx context.Context, s *sock) error { return s.Join(ctx, "room") })
	c := client(t, n, "/chat")
	c.ask("ok")
	if err := chat.To("room").Emit("hello"); err == nil {
		t.Error("Emit does not say that it went nowhere else")
	}
	c.expect("hello")
	if _, err := chat.ServerSideEmitWithAck(ctx(t), "x"); err == nil {
		t.Error("ServerSideEmitWithAck worked")
	}
}

// What processes that are no nodes publish: operations without an answer.
func TestOperationsWithoutAnAnswer(t *testing.T) {
	f := &scripted{}
	n := start(t, socketeer.WithAdapter(f))
	local := f.local("/")
	c, other := client(t, n, "/"), client(t, n, "/")
	s := n.socket(t, c)
	rooms, ok := local.(adapter.Rooms)
	if !ok {
		t.Fatal("the namespace does not tell which rooms it has")
	}
	only := adapter.Target{Rooms: []string{c.id}}
	local.Handle(&adapter.Message{Kind: adapter.Join, Target: only, Rooms: []string{"room", c.id}})
	equal(t, "Rooms", s.Rooms(), []string{c.id, "room"})
	if !rooms.HasRoom("room") || rooms.HasRoom("other") {
		t.Error("HasRoom is wrong")
	}
	local.Handle(&adapter.Message{
		Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"room"}}, Data: []byte(`["hello"]`),
		Flags: adapter.Flags{Volatile: true, NoCompress: true},
	})
	c.expect("hello")
	local.Handle(&adapter.Message{Kind: adapter.Leave, Target: only, Rooms: []string{"room"}})
	equal(t, "Rooms", s.Rooms(), []string{c.id})
	local.Handle(&adapter.Message{Kind: adapter.Disconnect, Target: only, Close: true})
	c.left()
	local.Handle(&adapter.Message{Kind: adapter.ServerSideEmit, Data: []byte(`[]`)})
	if !n.log.has("server-side event without a name") {
		t.Errorf("log: %s", n.log)
	}
	must(t, n.Emit("still"))
	other.expect("still")
}

// Many sockets are described in parts.
func TestFetchOfManySockets(t *testing.T) {
	const many = 401
	f := &scripted{}
	n := start(t, socketeer.WithAdapter(f))
	for range many {
		client(t, n, "/")
	}
	until(t, "all are there", func() bool { return n.Len() == many })
	responses := make(chan adapter.Response, many)
	f.local("/").Answer(ctx(t), &adapter.Message{Kind: adapter.Fetch}, func(r adapter.Response) { responses <- r })
	found, parts := 0, 0
	for {
		r := recv(t, "a response", responses)
		found += len(r.Sockets)
		parts++
		if r.Last {
			break
		}
	}
	if found != many || parts < 2 {
		t.Errorf("%d sockets in %d parts", found, parts)
	}
}

// Server-side events that nobody handles fast enough are bounded.
func TestServerSideEventsAreBounded(t *testing.T) {
	f := &scripted{}
	n := start(t, socketeer.WithAdapter(f))
	entered, goOn, handled := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 20_000)
	n.OnServerSide("event", func(context.Context, *msg) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-goOn
		handled <- struct{}{}
		return nil
	})
	m := &adapter.Message{Kind: adapter.ServerSideEmit, Data: []byte(`["event"]`)}
	f.local("/").Handle(m)
	recv(t, "the handler", entered)
	for range 10_001 {
		f.local("/").Handle(m)
	}
	if !n.log.has("server-side event dropped", `"event"`) {
		t.Errorf("log: %s", n.log)
	}
	close(goOn)
	for i := range 10_001 {
		recv(t, fmt.Sprintf("event %d", i), handled)
	}
}

// Nothing is answered when nobody waits any more.
func TestLateAnswerOfAServerSideHandler(t *testing.T) {
	f := &scripted{}
	n := start(t, socketeer.WithAdapter(f))
	late := make(chan *msg, 1)
	n.OnServerSide("event", func(_ context.Context, m *msg) error { late <- m; return nil })
	c, cancel := context.WithCancel(t.Context())
	f.local("/").Answer(c, &adapter.Message{Kind: adapter.ServerSideEmit, Data: []byte(`["event"]`)},
		func(adapter.Response) { t.Error("answered after the end") })
	m := recv(t, "the event", late)
	cancel()
	must(t, m.Ack("too late"))
}
