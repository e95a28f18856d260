package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// returning is a client that can come back.
type returning struct {
	*member
	pid, offset string
	before      []sio.Packet // events that came before the last CONNECT
}

// arrive connects a client, which comes back if it presents something.
func arrive(t testing.TB, n *node, nsp, pid, offset string) *returning {
	t.Helper()
	p := dial(t, n.url)
	auth := map[string]string{}
	if pid != "" {
		auth = map[string]string{"pid": pid, "offset": offset}
	}
	p.send(sio.Packet{Type: sio.Connect, Namespace: nsp, Data: mustJSON(t, auth)})
	r := &returning{member: &member{peer: p, nsp: nsp}, pid: pid, offset: offset}
	for {
		packet := p.packet(nsp)
		if packet.Type == sio.Event {
			r.before = append(r.before, packet)
			r.note(packet)
			continue
		}
		if packet.Type != sio.Connect {
			t.Fatalf("got %s", show(packet))
		}
		var said struct{ SID, PID string }
		if err := json.Unmarshal(packet.Data, &said); err != nil || said.PID == "" {
			t.Fatalf("CONNECT with %s", packet.Data)
		}
		r.id, r.pid = said.SID, said.PID
		return r
	}
}

// settled returns when the connect handlers of a client to which nothing is sent
// yet have returned: those of its events wait for them.
func (r *returning) settled(n *node) {
	r.t.Helper()
	off := n.Of(r.nsp).On("settled", func(_ context.Context, m *socketeer.Message) error { return m.Ack() })
	defer off()
	r.send(sio.Packet{Type: sio.Event, Namespace: r.nsp, Data: []byte(`["settled"]`), HasID: true})
	if p := r.packet(r.nsp); p.Type != sio.Ack {
		r.t.Fatalf("got %s", show(p))
	}
}

// note takes the offset of an event and returns the event without it.
func (r *returning) note(p sio.Packet) string {
	r.t.Helper()
	args := decode(r.t, p)
	offset, ok := args[len(args)-1].(string)
	if !ok || len(args) < 2 {
		r.t.Fatalf("%s has no offset", show(p))
	}
	r.offset = offset
	return fmt.Sprint(args[:len(args)-1]...)
}

// gets waits for an event that is kept.
func (r *returning) gets(want string) {
	r.t.Helper()
	if got := r.note(r.next()); got != want {
		r.t.Fatalf("got %q, want %q", got, want)
	}
}

// missed are the events that came before the CONNECT.
func (r *returning) missed() (list []string) {
	r.t.Helper()
	for _, p := range r.before {
		args := decode(r.t, p)
		list = append(list, fmt.Sprint(args[:len(args)-1]...))
	}
	return list
}

// back comes back to a node as what it was, when all that was sent until now has
// been kept.
func (r *returning) back(n *node) *returning {
	r.t.Helper()
	if n.logs != nil {
		n.logs.settle(r.t)
	}
	return r.backNow(n)
}

// backNow comes back to a node as what it was.
func (r *returning) backNow(n *node) *returning {
	r.t.Helper()
	return arrive(r.t, n, r.nsp, r.pid, r.offset)
}

// leave cuts the connection, when the session has been saved, and waits until
// the server knows.
func (r *returning) leave(n *node) {
	r.t.Helper()
	if s, ok := n.Of(r.nsp).Socket(r.id); ok {
		if err := s.Join(ctx(r.t), s.ID()); err != nil && !errors.Is(err, socketeer.ErrDisconnected) {
			r.t.Fatal(err)
		}
	}
	r.cut()
	until(r.t, "the server knows that the client has left", func() bool { _, ok := n.Of(r.nsp).Socket(r.id); return !ok })
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// withLog calls f with one node, and with three that share a log.
func withLog(t *testing.T, opts []socketeer.Option, f func(t *testing.T, nodes []*node)) {
	t.Run("memory", func(t *testing.T) {
		f(t, []*node{start(t, slices.Concat([]socketeer.Option{socketeer.WithRecovery(socketeer.Recovery{})}, opts)...)})
	})
	t.Run("cluster", func(t *testing.T) {
		_, nodes, _ := startLogCluster(t, 3, opts...)
		f(t, nodes)
	})
}

func TestRecovers(t *testing.T) {
	withLog(t, nil, func(t *testing.T, nodes []*node) {
		home, far := nodes[0], nodes[len(nodes)-1]
		var recovered list
		for _, n := range nodes {
			n.OnConnect(func(ctx context.Context, s *sock) error {
				recovered.add(fmt.Sprint(s.Recovered(), s.Value("n"), s.User()))
				if s.Recovered() {
					return s.Emit("again")
				}
				s.Set("n", 7)
				must(t, s.SetUser(ctx, "ada"))
				return s.Join(ctx, "r")
			})
		}
		r := arrive(t, home, "/", "", "")
		r.settled(home)
		must(t, far.To("r").Emit("first", 1))
		r.gets("first1")
		first, offset := r.id, r.offset
		r.leave(home)

		must(t, far.To("r").Emit("room", 2, []byte{1, 2}))
		must(t, home.Emit("all"))
		must(t, far.To(first).Emit("own"))
		must(t, far.To("r").Except("user:ada").Emit("not"))
		must(t, home.To("other").Emit("not"))
		must(t, home.To("r").Volatile().Emit("not"))
		must(t, home.To("r").Local().Emit("not"))
		must(t, far.To("user:ada").Emit("user"))

		r = r.back(far)
		if r.id != first {
			t.Fatal("it has another id")
		}
		same(t, "missed", r.missed(), "room2 [1 2]", "all", "own", "user")
		r.gets("again")
		must(t, home.To("r").Emit("live"))
		r.gets("live")
		s := far.socket(t, r.member)
		equal(t, "rooms", s.Rooms(), []string{first, "r", "user:ada"})
		if n, ok := socketeer.Recall[int](s, "n"); !ok || n != 7 {
			t.Errorf("recalled %v, %v", n, ok)
		}
		equal(t, "what handlers saw", recovered.all(), []string{"false <nil>", "true 7ada"})
		must(t, s.Emit("direct"))
		r.gets("direct")

		// And once more: only what came since.
		r.leave(far)
		must(t, home.To("r").Emit("second"))
		r = r.back(home)
		same(t, "missed the second time", r.missed(), "second")
		r.gets("again")

		// With the first offset again: all of it.
		r.leave(home)
		r.offset = offset
		r = r.back(far)
		same(t, "missed since the first", r.missed(), "room2 [1 2]", "all", "own", "user", "again", "live", "direct", "second", "again")
	})
}

func TestComesBackWhileStillThere(t *testing.T) {
	withLog(t, nil, func(t *testing.T, nodes []*node) {
		home, far := nodes[0], nodes[len(nodes)-1]
		var reasons list
		home.OnConnect(func(ctx context.Context, s *sock) error {
			s.OnDisconnect(func(_ context.Context, reason string) { reasons.add(reason) })
			return s.Join(ctx, "r")
		})
		old := arrive(t, home, "/", "", "")
		old.settled(home)
		must(t, far.To("r").Emit("first"))
		old.gets("first")
		r := old.back(far)
		if r.id != old.id {
			t.Fatal("it has another id")
		}
		old.waitClosed()
		until(t, "the old socket ends", func() bool { return len(reasons.all()) > 0 })
		same(t, "reasons", reasons.all(), "recovered elsewhere")
		must(t, home.To("r").Emit("once"))
		r.gets("once")
		r.leave(far)
		must(t, home.To(r.id).Emit("more"))
		same(t, "missed", r.back(home).missed(), "more")
	})
}

func TestOnlyRecoverableReasons(t *testing.T) {
	withLog(t, nil, func(t *testing.T, nodes []*node) {
		n := nodes[0]
		for name, end := range map[string]func(r *returning){
			"client namespace disconnect": func(r *returning) { r.leaveNamespace() },
			"server namespace disconnect": func(r *returning) { n.socket(t, r.member).Disconnect(false) },
			"server disconnect":           func(r *returning) { n.socket(t, r.member).Disconnect(true) },
		} {
			r := arrive(t, n, "/", "", "")
			must(t, n.Emit("e"))
			r.gets("e")
			end(r)
			r.leave(n)
			before := n.RecoveryStats()
			until(t, "the session is forgotten", func() bool {
				again := r.back(n)
				if again.id != r.id {
					again.cut()
					return true
				}
				end(again) // it was faster than the log
				again.leave(n)
				return false
			})
			if failed := n.RecoveryStats().Failed[adapter.NoSession]; failed <= before.Failed[adapter.NoSession] {
				t.Errorf("%s: failed %v", name, failed)
			}
		}
	})
}

func TestUnrecoverable(t *testing.T) {
	n := start(t, socketeer.WithRecovery(socketeer.Recovery{}), socketeer.WithAdapter(adapter.Memory{LogBytes: 10_000}))
	for name, tc := range map[string]struct {
		change func(r *returning)
		reason string
	}{
		"pid":         {func(r *returning) { r.pid = "unknown" }, adapter.NoSession},
		"long pid":    {func(r *returning) { r.pid = strings.Repeat("x", 1000) }, adapter.NoSession},
		"offset":      {func(r *returning) { r.offset = "unknown" }, adapter.BadOffset},
		"long offset": {func(r *returning) { r.offset = strings.Repeat("x", 1000) }, adapter.BadOffset},
		"trimmed": {func(*returning) {
			for range 100 {
				must(t, n.Emit("e", strings.Repeat("x", 1000)))
			}
		}, adapter.Trimmed},
	} {
		t.Run(name, func(t *testing.T) {
			r := arrive(t, n, "/", "", "")
			must(t, n.Emit("e"))
			r.gets("e")
			r.leave(n)
			tc.change(r)
			before := n.RecoveryStats().Failed[tc.reason]
			again := r.back(n)
			if again.id == r.id || again.pid == r.pid || len(again.before) > 0 {
				t.Errorf("recovered: %v", again.missed())
			}
			if got := n.RecoveryStats().Failed[tc.reason]; got != before+1 {
				t.Errorf("%d failed for %q", got-before, tc.reason)
			}
			if s := n.socket(t, again.member); s.Recovered() {
				t.Error("says that it is recovered")
			}
			must(t, n.Emit("works"))
			again.gets("works")
		})
	}
	if !n.log.has("a client could not recover", adapter.Trimmed) {
		t.Error("nothing in the log")
	}
}

// Strings only, as in JavaScript: anything else is a new client's.
func TestClaimsThatAreNone(t *testing.T) {
	n := start(t, socketeer.WithRecovery(socketeer.Recovery{}))
	for _, auth := range []any{
		map[string]any{"pid": 1, "offset": "x"}, map[string]any{"pid": "x"}, map[string]any{"offset": "x"},
		map[string]any{"pid": "x", "offset": nil}, map[string]any{"pid": []string{"x"}, "offset": "x"}, map[string]any{},
	} {
		client(t, n, "/", auth)
	}
	if failed := n.RecoveryStats().Failed; len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
}

func TestMiddlewares(t *testing.T) {
	for _, run := range []bool{false, true} {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			withLog(t, []socketeer.Option{socketeer.WithRecovery(socketeer.Recovery{RunMiddlewares: run})}, func(t *testing.T, nodes []*node) {
				var saw list
				banned := make(chan struct{})
				for _, n := range nodes {
					n.UseConnect(guard(func(ctx context.Context, s *sock) error {
						saw.add(fmt.Sprint(s.Recovered(), s.Value("x")))
						if s.Recovered() {
							must(t, n.To("r").Emit("meanwhile"))
						}
						s.Set("x", "y")
						must(t, s.Join(ctx, "r"))
						select {
						case <-banned:
							return &socketeer.Error{Message: "banned"}
						default:
							return nil
						}
					}))
				}
				home, far := nodes[0], nodes[len(nodes)-1]
				r := arrive(t, home, "/", "", "")
				must(t, home.To("r").Emit("e"))
				r.gets("e")
				r.leave(home)
				must(t, home.To("r").Emit("missed"))
				r = r.back(far)
				want, sawWant := []string{"missed"}, []string{"false <nil>"}
				if run {
					sawWant = append(sawWant, "truey")
				}
				same(t, "middleware saw", saw.all(), sawWant...)
				got := r.missed()
				if run && len(got) == 1 {
					r.gets("meanwhile")
				} else if run {
					want = append(want, "meanwhile")
				}
				same(t, "missed", got, want...)

				r.leave(far)
				close(banned)
				if !run {
					r.back(home)
					return
				}
				again := dial(t, home.url)
				answer := again.tryJoin("/", map[string]string{"pid": r.pid, "offset": r.offset})
				if answer.Type != sio.ConnectError {
					t.Errorf("the banned client got %s", show(answer))
				}
				until(t, "counted", func() bool { return home.RecoveryStats().Failed[socketeer.RecoveryRefused] == 1 })
			})
		})
	}
}

// A node that dies has saved its sessions.
func TestNodeDies(t *testing.T) {
	_, nodes, logNodes := startLogCluster(t, 3)
	nodes[0].OnConnect(func(ctx context.Context, s *sock) error {
		s.Set("k", map[string]int{"deep": 1})
		return s.Join(ctx, "r")
	})
	r := arrive(t, nodes[0], "/", "", "")
	r.settled(nodes[0])
	must(t, nodes[1].To("r").Emit("e"))
	r.gets("e")
	nodes[0].socket(t, r.member).Set("late", true)
	until(t, "what has changed is saved", func() bool {
		s, err := nodes[0].socket(t, r.member), error(nil)
		return s != nil && err == nil && saved(t, logNodes[1], r.pid, `"late":true`)
	})
	logNodes[0].die()
	must(t, nodes[1].To("r").Emit("missed"))
	r = r.back(nodes[2])
	same(t, "missed", r.missed(), "missed")
	s := nodes[2].socket(t, r.member)
	if v, ok := socketeer.Recall[map[string]int](s, "k"); !ok || v["deep"] != 1 || s.Value("late") != true {
		t.Errorf("values %v %v", v, s.Value("late"))
	}
}

// saved reports whether a session is saved with data that has this text.
func saved(t testing.TB, l *logNode, pid, text string) bool {
	t.Helper()
	l.cluster.mu.Lock()
	log := l.cluster.spaces["/"].log
	l.cluster.mu.Unlock()
	s, err := log.TakeSession(t.Context(), pid)
	if err != nil {
		return false
	}
	must(t, log.SaveSession(t.Context(), s))
	return strings.Contains(string(s.Data), text)
}

// What is sent to a client that is away, by who still has its socket, is kept.
func TestEmitToAnAbsentClient(t *testing.T) {
	withLog(t, nil, func(t *testing.T, nodes []*node) {
		home, far := nodes[0], nodes[len(nodes)-1]
		r := arrive(t, home, "/", "", "")
		s := home.socket(t, r.member)
		must(t, s.Emit("e"))
		r.gets("e")
		r.leave(home)
		must(t, s.Emit("answer", 1))
		if err := s.Volatile().Emit("not"); !errors.Is(err, socketeer.ErrDisconnected) {
			t.Errorf("volatile: %v", err)
		}
		r = r.back(far)
		same(t, "missed", r.missed(), "answer1")
		must(t, s.Emit("answer", 2))
		r.gets("answer2")
		far.socket(t, r.member).Disconnect(true)
		r.left()
	})
}

// What one goroutine sends arrives in that order although the log lets it wait,
// and what it does to rooms happens in between.
func TestOrderWhileTheLogWaits(t *testing.T) {
	c, nodes, _ := startLogCluster(t, 2)
	n := nodes[0]
	r := arrive(t, n, "/", "", "")
	s := n.socket(t, r.member)
	c.gate.Lock()
	must(t, n.Emit("1"))
	must(t, s.Emit("2"))
	must(t, n.Volatile().Emit("3"))
	must(t, n.Local().Emit("4"))
	must(t, s.Volatile().Emit("5"))
	must(t, n.To(r.id).Emit("6"))
	done := make(chan error, 2)
	asked, join := make(chan struct{}), make(chan struct{})
	go func() {
		close(asked)
		_, err := s.EmitWithAck(ctx(t), "7")
		done <- err
	}()
	<-asked
	go func() {
		close(join)
		done <- s.Join(ctx(t), "r")
	}()
	<-join
	select {
	case p := <-r.queue("/"):
		t.Errorf("%s came too early", show(p))
	default:
	}
	c.gate.Unlock()
	r.gets("1")
	r.gets("2")
	r.expect("3")
	r.expect("4")
	r.expect("5")
	r.gets("6")
	r.reply(r.expect("7"))
	must(t, <-done)
	must(t, <-done)

	c.gate.Lock()
	must(t, n.To("r").Emit("before leaving"))
	s.Leave("r")
	must(t, n.To("r").Emit("not"))
	must(t, s.Emit("bye"))
	s.Disconnect(false)
	c.gate.Unlock()
	r.gets("before leaving")
	r.gets("bye")
	r.left()
}

func TestLogBehind(t *testing.T) {
	c, nodes, _ := startLogCluster(t, 1)
	c.gate.Lock()
	var err error
	for range 20 {
		if err = nodes[0].Emit("e", strings.Repeat("x", 1<<20)); err != nil {
			break
		}
	}
	c.gate.Unlock()
	if !errors.Is(err, socketeer.ErrLogBehind) || nodes[0].RecoveryStats().Refused == 0 {
		t.Errorf("error %v", err)
	}
	until(t, "the queue is empty", func() bool { return nodes[0].Emit("e", strings.Repeat("x", 1<<20)) == nil })
}

// An event that cannot be kept is delivered nowhere: a client that is away could
// not be told that it misses one.
func TestWhatCannotBeKept(t *testing.T) {
	c, nodes, _ := startLogCluster(t, 2)
	c.limit = 1000
	home := nodes[0]
	here, away := arrive(t, home, "/", "", ""), arrive(t, home, "/", "", "")
	for _, r := range []*returning{here, away} {
		r.settled(home)
	}
	must(t, home.Emit("e", 1))
	here.gets("e1")
	away.gets("e1")
	away.leave(home)
	c.gate.Lock()
	must(t, home.Emit("e", 2))
	refused := home.Emit("e", strings.Repeat("x", 1000))
	must(t, home.Emit("e", 3))
	c.gate.Unlock()
	if !errors.Is(refused, errTooLarge) {
		t.Errorf("error %v", refused)
	}
	for _, r := range []*returning{here, away} {
		if err := home.To(r.id).Emit("e", strings.Repeat("x", 1000)); !errors.Is(err, errTooLarge) {
			t.Errorf("error %v", err)
		}
	}
	must(t, home.Emit("e", 4))
	for _, want := range []string{"e2", "e3", "e4"} {
		here.gets(want)
	}
	back := away.back(nodes[1])
	same(t, "missed", back.missed(), "e2", "e3", "e4")
	if n := home.RecoveryStats().Refused; n != 3 {
		t.Errorf("%d refused", n)
	}
}

// More than a send buffer holds is replayed as fast as the client takes it.
func TestReplaysMuch(t *testing.T) {
	n := start(t, socketeer.WithRecovery(socketeer.Recovery{}), socketeer.WithSendBuffer(10_000))
	r := arrive(t, n, "/", "", "")
	must(t, n.Emit("e"))
	r.gets("e")
	r.leave(n)
	const events = 3000
	text := strings.Repeat("x", 300)
	for i := range events {
		must(t, n.Emit("e", i, text))
	}
	r = r.back(n)
	if got := r.missed(); len(got) != events || got[events-1] != fmt.Sprint("e", events-1, text) {
		t.Errorf("%d missed, the last is %q", len(got), got[max(len(got)-1, 0):])
	}
}

type noLog struct{ adapter.Memory }

func (noLog) Open(ctx context.Context, nsp string, l adapter.Local) (adapter.Adapter, error) {
	a, err := adapter.Memory{}.Open(ctx, nsp, l)
	return struct{ adapter.Adapter }{a}, err
}

func TestRecoveryOptions(t *testing.T) {
	for name, opts := range map[string][]socketeer.Option{
		"adapter.Log": {socketeer.WithAdapter(noLog{}), socketeer.WithRecovery(socketeer.Recovery{})},
		"at least 1s": {socketeer.WithRecovery(socketeer.Recovery{MaxDisconnection: time.Millisecond})},
	} {
		if _, err := socketeer.NewServer(opts...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not speak of %q", err, name)
		}
	}
}

// early hands on messages from the first moment.
type early struct {
	adapter.Memory
	sent sync.WaitGroup
}

func (f *early) Open(ctx context.Context, nsp string, l adapter.Local) (adapter.Adapter, error) {
	for _, m := range []*adapter.Message{
		{Kind: adapter.Broadcast, Data: []byte(`["e"]`), Offset: "1-0"},
		{Kind: adapter.Join, Rooms: []string{"r"}},
		{Kind: adapter.ServerSideEmit, Data: []byte(`["e"]`)},
		{Kind: adapter.Fetch},
	} {
		f.sent.Go(func() {
			l.Handle(m)
			if m.Kind == adapter.ServerSideEmit {
				return // nobody would answer
			}
			answered := make(chan adapter.Response, 1)
			l.Answer(ctx, m, func(r adapter.Response) { answered <- r })
			<-answered
		})
	}
	return f.Memory.Open(ctx, nsp, l)
}

// Other nodes' messages may come before the namespace knows its adapter.
func TestMessagesWhileANamespaceOpens(t *testing.T) {
	for range 20 {
		f := &early{}
		srv, err := socketeer.NewServer(socketeer.WithAdapter(f), socketeer.WithRecovery(socketeer.Recovery{}))
		must(t, err)
		f.sent.Wait()
		must(t, srv.Close())
	}
}
