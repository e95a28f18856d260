package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

// tap is a bus that a test looks into.
type tap struct {
	*buscluster.LocalBus
	recv       func([]byte)
	lose       func(subject string, data []byte) bool // if set and true, a frame is lost
	reconnects atomic.Int64
	syncs      atomic.Int64
}

const frameSync = 5 // the kind, second byte of a frame

func (b *tap) Listen(recv func([]byte)) error {
	b.recv = recv
	return b.LocalBus.Listen(recv)
}

func (b *tap) Publish(subject string, data []byte) error {
	if data[1] == frameSync {
		b.syncs.Add(1)
	}
	if b.lose != nil && b.lose(subject, data) {
		return nil
	}
	return b.LocalBus.Publish(subject, data)
}

func (b *tap) Reconnect() { b.reconnects.Add(1) }

// space is a namespace that notes what it is handed.
type space struct {
	got    chan *adapter.Message
	handle func(*adapter.Message)
	answer func(context.Context, *adapter.Message, func(adapter.Response))
	rooms  sync.Map
}

func newSpace() *space { return &space{got: make(chan *adapter.Message, 1000)} }

func (s *space) Handle(m *adapter.Message) {
	if s.handle != nil {
		s.handle(m)
	}
	s.got <- m
}

func (s *space) Answer(ctx context.Context, m *adapter.Message, reply func(adapter.Response)) {
	if s.answer != nil {
		s.answer(ctx, m, reply)
		return
	}
	reply(adapter.Response{Last: true})
}

func (s *space) HasRoom(r string) bool {
	_, ok := s.rooms.Load(r)
	return ok
}

// next is the Data of the next message, or what is missing.
func (s *space) next() string {
	select {
	case m := <-s.got:
		return string(m.Data)
	case <-time.After(time.Minute):
		return "nothing"
	}
}

type member struct {
	*buscluster.Node
	bus   *tap
	space *space
	a     adapter.Adapter
}

// group starts n nodes in fake time with a namespace each.
func group(t *testing.T, n int, adjust func(*buscluster.Config)) (list []*member) {
	t.Helper()
	hub := buscluster.NewHub()
	for i := range n {
		id, err := cluster.NewIdentity(fmt.Sprint("n", i))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, add(t, hub, id, adjust))
	}
	synctest.Wait()
	for _, m := range list {
		m.open(t, "/")
	}
	return list
}

func add(t *testing.T, hub *buscluster.Hub, id cluster.Identity, adjust func(*buscluster.Config)) *member {
	t.Helper()
	m := &member{bus: &tap{LocalBus: hub.Bus()}, space: newSpace()}
	cfg := buscluster.Config{Identity: id}
	if adjust != nil {
		adjust(&cfg)
	}
	node, err := buscluster.New(m.bus, cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Node = node
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node.Close(context.Background())
		m.bus.Close()
	})
	return m
}

func (m *member) open(t *testing.T, nsp string) {
	t.Helper()
	a, err := m.Open(t.Context(), nsp, m.space)
	if err != nil {
		t.Fatal(err)
	}
	m.a = a
}

func (m *member) publish(t *testing.T, data string, rooms ...string) {
	t.Helper()
	err := m.a.Publish(&adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: rooms}, Data: []byte(data)})
	if err != nil {
		t.Error(err)
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestConcurrentJoinsShareBarriers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 3, nil)
		before := g[0].bus.syncs.Load()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if err := g[0].a.Join(t.Context(), fmt.Sprint("room ", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// How many rounds it takes depends on the scheduler; one for each join
		// would be 2000 frames.
		if n := g[0].bus.syncs.Load() - before; n > 500 {
			t.Errorf("1000 joins took %d frames", n)
		}
		want(t, "rooms", g[0].Stats().Rooms, 1000)
		before = g[0].bus.syncs.Load()
		if err := g[0].a.Join(t.Context(), "room 1"); err != nil {
			t.Error(err)
		}
		want(t, "frames of a repeated join", g[0].bus.syncs.Load()-before, 0)
	})
}

func TestJoinWaitsForLiveNodesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 3, nil)
		g[2].bus.Cut(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g[0].a.Join(ctx, "r")
		var partial *adapter.PartialError
		if !errors.As(err, &partial) || fmt.Sprint(partial.Missing) != "[n2]" || !partial.Timeout() {
			t.Fatalf("got %v", err)
		}
		g[1].publish(t, "the others' messages come all the same", "r")
		g[0].space.next()
		begin := time.Now()
		if err := g[0].a.Join(t.Context(), "r"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("waited %v for a dead node", d)
		}
	})
}

func TestBarrierSurvivesLostFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		lost := 0
		g[0].bus.lose = func(_ string, data []byte) bool {
			lost++
			return data[1] == frameSync && lost < 3
		}
		if err := g[0].a.Join(t.Context(), "r"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLeaveIsDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		g[0].space.rooms.Store("kept", true)
		for _, r := range []string{"left", "kept", "again"} {
			if err := g[0].a.Join(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			g[0].a.Leave(r)
		}
		time.Sleep(4 * time.Second)
		want(t, "rooms before the delay is over", g[0].Stats().Rooms, 3)
		g[0].a.Leave("again")
		time.Sleep(1200 * time.Millisecond)
		want(t, "rooms after the delay", g[0].Stats().Rooms, 2)
		time.Sleep(10 * time.Second)
		want(t, "rooms in the end", g[0].Stats().Rooms, 1)
		g[1].publish(t, "to kept", "kept")
		g[1].publish(t, "to left", "left")
		g[1].publish(t, "to all")
		want(t, "first", g[0].space.next(), "to kept")
		want(t, "second", g[0].space.next(), "to all")
	})
}

func TestGapsAndDuplicatesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		for _, r := range []string{"a", "b", "c"} {
			if err := g[1].a.Join(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		g[0].publish(t, "1")
		g[0].publish(t, "2", "a", "b", "c")
		synctest.Wait()
		want(t, "duplicates", g[1].Stats().Duplicates, 2)
		want(t, "gaps", g[1].Stats().Gaps, 0)
		g[0].bus.lose = func(_ string, data []byte) bool { return true }
		g[0].publish(t, "lost")
		g[0].publish(t, "lost", g[1].Tag()+"1234567890123456")
		g[0].publish(t, "a room's loss is not noticed", "a")
		g[0].bus.lose = nil
		g[0].publish(t, "3")
		g[0].publish(t, "4", g[1].Tag()+"1234567890123456")
		synctest.Wait()
		want(t, "gaps", g[1].Stats().Gaps, 2)
		for _, m := range []string{"1", "2", "3", "4"} {
			want(t, "message", g[1].space.next(), m)
		}
	})
}

func TestSlowNamespaceLosesAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, func(c *buscluster.Config) { c.MaxMessage, c.QueueBytes = 4096, 8192 })
		release := make(chan struct{})
		g[1].space.handle = func(*adapter.Message) { <-release }
		for i := range 50 {
			g[0].publish(t, fmt.Sprint(i, strings.Repeat("x", 1000)))
		}
		// The bus and the heartbeats are not held up by it, and a request that
		// finds no place is answered.
		time.Sleep(time.Minute)
		want(t, "peers", g[0].Stats().Peers, 1)
		request := &adapter.Message{Kind: adapter.ServerSideEmit, Data: make([]byte, 1000)}
		err := g[0].a.Request(t.Context(), request, func(adapter.Response) {})
		var partial *adapter.PartialError
		if !errors.As(err, &partial) || fmt.Sprint(partial.Missing) != "[n1]" {
			t.Errorf("request: %v", err)
		}
		if n := g[1].Stats().Drops.Queue; n < 40 || n > 50 {
			t.Errorf("%d messages dropped", n)
		}
		close(release)
		synctest.Wait()
		g[0].publish(t, "better now")
		for {
			if m := g[1].space.next(); m == "better now" || m == "nothing" {
				want(t, "last message", m, "better now")
				break
			}
		}
	})
}

func TestDeafBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 1, nil)
		time.Sleep(time.Minute) // alone, but hearing its probes
		if err := g[0].Ready(); err != nil {
			t.Fatal(err)
		}
		if s := g[0].Stats(); s.Probes == 0 || s.ProbeFailures != 0 || g[0].bus.reconnects.Load() != 0 {
			t.Errorf("%+v", s)
		}
		g[0].bus.Cut(true)
		cut := time.Now()
		for g[0].Ready() == nil { // an interval in which something was heard, and three more
			if time.Sleep(100 * time.Millisecond); time.Since(cut) > 23*time.Second {
				t.Fatal("deaf and ready")
			}
		}
		if n := g[0].bus.reconnects.Load(); n != 1 {
			t.Errorf("asked %d times to reconnect", n)
		}
		g[0].bus.Cut(false)
		time.Sleep(12 * time.Second)
		if err := g[0].Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestProbesOnlyWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		time.Sleep(time.Minute)
		want(t, "probes among heartbeats", g[0].Stats().Probes, 0)
	})
}

func TestNodeThatLeavesEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 3, nil)
		g[1].space.answer = func(context.Context, *adapter.Message, func(adapter.Response)) {}
		var wg sync.WaitGroup
		begin := time.Now()
		wg.Go(func() {
			err := g[0].a.Request(t.Context(), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
			var partial *adapter.PartialError
			if !errors.As(err, &partial) || fmt.Sprint(partial.Missing) != "[n1]" {
				t.Errorf("got %v", err)
			}
			if d := time.Since(begin); d != time.Second {
				t.Errorf("the wait ended after %v", d)
			}
		})
		time.Sleep(time.Second)
		g[1].Close(t.Context())
		wg.Wait()
		want(t, "partial", g[0].Stats().Partial, 1)
	})
}

func TestAbandonedRequestIsCancelledThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		var end atomic.Value
		g[1].space.answer = func(ctx context.Context, _ *adapter.Message, reply func(adapter.Response)) {
			if _, ok := ctx.Deadline(); ok {
				t.Error("a deadline came from nowhere")
			}
			context.AfterFunc(ctx, func() {
				end.Store(time.Now())
				reply(adapter.Response{Last: true}) // too late: not sent
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		if err := g[0].a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if at, ok := end.Load().(time.Time); !ok || at.Sub(begin) != time.Second {
			t.Errorf("the answer ended after %v", at.Sub(begin))
		}
	})
}

func TestDeathOfTheRequesterEndsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		ended := make(chan struct{})
		g[1].space.answer = func(ctx context.Context, _ *adapter.Message, _ func(adapter.Response)) {
			context.AfterFunc(ctx, func() { close(ended) })
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			err := g[0].a.Request(context.Background(), &adapter.Message{Kind: adapter.Fetch}, nil)
			if !errors.Is(err, buscluster.ErrNodeGone) {
				t.Errorf("got %v", err) // to it, the other one died
			}
		})
		synctest.Wait()
		g[0].bus.Cut(true)
		<-ended
		wg.Wait()
	})
}

func TestManySocketsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, func(c *buscluster.Config) { c.MaxMessage = 1 << 20 })
		const sockets = 3000
		g[1].space.answer = func(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
			r := adapter.Response{Last: true}
			for i := range sockets {
				r.Sockets = append(r.Sockets, adapter.SocketInfo{
					ID: fmt.Sprint(i), Rooms: []string{fmt.Sprint(i), "r"}, Handshake: make([]byte, 1000),
				})
			}
			reply(r)
		}
		n, frames := 0, 0
		err := g[0].a.Request(t.Context(), &adapter.Message{Kind: adapter.Fetch}, func(r adapter.Response) {
			for _, s := range r.Sockets {
				want(t, "id", s.ID, fmt.Sprint(n))
				n++
			}
			frames++
		})
		if err != nil || n != sockets || frames < 3 {
			t.Errorf("%d sockets in %d responses, %v", n, frames, err)
		}
	})
}

func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, func(c *buscluster.Config) { c.MaxMessage = 10_000 })
		m := &adapter.Message{Kind: adapter.Broadcast, Data: make([]byte, 10_000)}
		var large *buscluster.TooLargeError
		if err := g[0].a.Publish(m); !errors.As(err, &large) || large.Limit != 10_000 {
			t.Errorf("publish: %v", err)
		}
		if err := g[0].a.Request(t.Context(), m, nil); !errors.As(err, &large) {
			t.Errorf("request: %v", err)
		}
		m = &adapter.Message{Kind: adapter.Join, Rooms: make([]string, 1<<16+1)}
		if err := g[0].a.Publish(m); err == nil {
			t.Error("65537 rooms were accepted")
		}
		g[1].space.answer = func(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
			reply(adapter.Response{Data: make([]byte, 10_000), Last: true})
		}
		err := g[0].a.Request(t.Context(), &adapter.Message{Kind: adapter.ServerSideEmit}, nil)
		var partial *adapter.PartialError
		if !errors.As(err, &partial) || fmt.Sprint(partial.Missing) != "[n1]" {
			t.Errorf("too large an answer: %v", err)
		}
		want(t, "responses dropped", g[1].Stats().Drops.Responses, 1)
	})
}

func TestForeignFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 1, nil)
		frame := make([]byte, 60)
		g[0].bus.recv(frame) // version 0
		frame[0], frame[1] = 1, 200
		g[0].bus.recv(frame) // a kind of the future
		frame[1], frame[11] = 1, 1
		g[0].bus.recv(frame) // an empty message
		g[0].bus.recv(nil)
		synctest.Wait()
		want(t, "drops", g[0].Stats().Drops, buscluster.Drops{Unknown: 2, Malformed: 2})
	})
}

func TestTagConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := buscluster.NewHub()
		a := add(t, hub, cluster.Identity{Name: "a", Incarnation: "same000000000000"}, nil)
		a.open(t, "/")
		time.Sleep(time.Second)
		b := add(t, hub, cluster.Identity{Name: "b", Incarnation: "same000000000001"}, nil)
		synctest.Wait()
		if err := a.Ready(); err != nil {
			t.Errorf("the older node: %v", err)
		}
		var conflict *cluster.TagConflictError
		if err := b.Ready(); !errors.As(err, &conflict) {
			t.Errorf("the later node: %v", err)
		}
		if _, err := b.Open(t.Context(), "/", b.space); !errors.As(err, &conflict) {
			t.Errorf("open on the later node: %v", err)
		}
		// Nothing is lost meanwhile: both get what is meant for one.
		c := add(t, hub, cluster.Identity{Name: "c", Incarnation: "other00000000000"}, nil)
		synctest.Wait()
		c.open(t, "/")
		c.publish(t, "direct", "same1234567890123456")
		want(t, "message", a.space.next(), "direct")
	})
}

func TestClosedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, nil)
		for range 2 {
			if err := g[0].Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := g[0].Open(t.Context(), "/x", g[0].space); !errors.Is(err, net.ErrClosed) {
			t.Errorf("open: %v", err)
		}
		if err := g[0].Ready(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ready: %v", err)
		}
		if err := g[0].a.Join(t.Context(), "r"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("join: %v", err)
		}
		synctest.Wait() // the others hear of it
		want(t, "members left", len(g[1].Members()), 1)
	})
}

func TestConfigIsChecked(t *testing.T) {
	id, _ := cluster.NewIdentity("")
	for _, c := range []buscluster.Config{
		{}, {Identity: cluster.Identity{Name: "n", Incarnation: "short"}},
		{Identity: id, MaxMessage: 10}, {Identity: id, MaxMessage: 1 << 20, QueueBytes: 1 << 10}, {Identity: id, LeaveDelay: -1},
	} {
		if _, err := buscluster.New(buscluster.NewHub().Bus(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	bus := buscluster.NewHub().Bus()
	n, err := buscluster.New(bus, buscluster.Config{Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Open(t.Context(), "/", newSpace()); err == nil || n.Ready() == nil {
		t.Error("usable before Start")
	}
	n.Close(t.Context())
	if err := n.Start(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("start after close: %v", err)
	}
}

func TestNamespaceIsOpenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 1, nil)
		if _, err := g[0].Open(t.Context(), "/", newSpace()); err == nil {
			t.Error("opened twice")
		}
	})
}
