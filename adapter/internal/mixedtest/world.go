package mixedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// World is a cluster of two Go and two Node.js servers with one official client
// each. The clients live in the process of the first Node.js server.
type World struct {
	tb testing.TB
	c  Cluster

	Go   []*GoServer
	Node []*redistest.Peer
	// Clients are the ids of the clients: of the Go servers, then of the Node.js
	// servers.
	Clients []string
}

// GoServer is a Go server of a [World].
type GoServer struct {
	IO     *socketeer.Server
	Member Member
	url    string
}

// New starts one.
func New(tb testing.TB, c Cluster) *World {
	tb.Helper()
	w := &World{tb: tb, c: c}
	for i := range 2 {
		w.Node = append(w.Node, redistest.Node(tb, redistest.NodeOptions{
			Adapter: c.Adapter, URLs: c.URLs, AdapterOptions: c.Options, Recovery: c.Recovery,
			ServerSideAnswer: []any{fmt.Sprint("node", i)},
		}))
	}
	for i := range 2 {
		w.Go = append(w.Go, w.serve(fmt.Sprint("go", i)))
	}
	for _, g := range w.Go {
		must(tb, g.Member.WaitPeers(Patient(tb), 1))
	}
	for _, g := range w.Go {
		w.Clients = append(w.Clients, w.connect(g.url))
	}
	for _, n := range w.Node {
		w.Clients = append(w.Clients, w.connect(n.URL()))
	}
	// Node.js adapters subscribe without waiting for it.
	for _, n := range w.Node {
		w.eventually("all servers to be there", func(ctx context.Context) bool {
			count, err := n.Call(ctx, "serverCount", nil)
			return err == nil && string(count) == "4"
		})
	}
	w.settle("", w.Clients...)
	return w
}

// serve starts a Go server.
func (w *World) serve(name string) *GoServer {
	w.tb.Helper()
	g := &GoServer{Member: w.c.Start(w.tb, name)}
	options := []socketeer.Option{socketeer.WithAdapter(g.Member)}
	if w.c.Recovery {
		options = append(options, socketeer.WithRecovery(socketeer.Recovery{}))
	}
	io, err := socketeer.NewServer(options...)
	must(w.tb, err)
	g.IO = io
	io.OnConnect(func(_ context.Context, s *socketeer.Socket) error {
		s.Set("name", name)
		return nil
	})
	io.On("join", func(ctx context.Context, m *socketeer.Message) error {
		var rooms []string
		if err := m.Decode(&rooms); err != nil {
			return err
		}
		if err := m.Socket().Join(ctx, rooms...); err != nil {
			return err
		}
		return m.Ack()
	})
	io.OnServerSide("ask", func(_ context.Context, m *socketeer.Message) error { return m.Ack(name) })
	web := httptest.NewServer(io)
	g.url = web.URL
	w.tb.Cleanup(func() {
		if err := io.Close(); err != nil {
			w.tb.Error(err)
		}
		web.Close()
	})
	return g
}

// connect opens a client that acknowledges.
func (w *World) connect(url string) string {
	w.tb.Helper()
	return w.Node[0].Connect(args{"url": url, "ack": []any{"yes", args{"$binary": "AQI="}}, "auth": args{"token": "t"}})
}

// UIDs returns what the Node.js servers are called.
func (w *World) UIDs() (list []string) {
	w.tb.Helper()
	for i := range w.Node {
		var uid string
		must(w.tb, json.Unmarshal(w.do(i, "uid", nil), &uid))
		list = append(list, uid)
	}
	return list
}

// Fetch returns the ids of all sockets, as the first Go server sees them.
func (w *World) Fetch(ctx context.Context) (ids []string, err error) {
	for s, e := range w.Go[0].IO.All().Sockets(ctx) {
		if e != nil {
			err = e
			continue
		}
		ids = append(ids, s.ID)
	}
	return ids, err
}

// do has a Node.js server carry out an operation.
func (w *World) do(node int, op string, a any) json.RawMessage {
	w.tb.Helper()
	result, err := w.Node[node].Call(Patient(w.tb), op, a)
	must(w.tb, err)
	return result
}

// Join has clients join a room and waits until everybody knows.
func (w *World) Join(room string, clients ...string) {
	w.tb.Helper()
	for _, c := range clients {
		w.do(0, "clientAsk", args{"client": c, "event": "join", "args": []any{[]string{room}}})
	}
	w.settle(room, clients...)
}

// settle returns when messages to the room, or to everyone, from both kinds
// reach the clients: Node.js does not wait for its subscriptions.
func (w *World) settle(room string, clients ...string) {
	w.tb.Helper()
	to := []string{}
	if room != "" {
		to = append(to, room)
	}
	for i, c := range clients {
		event := fmt.Sprintf("settle %s %d", room, i)
		for _, emit := range []func(){
			func() { must(w.tb, w.Go[0].IO.To(to...).Emit(event)) },
			func() { w.do(0, "emit", args{"rooms": to, "event": event}) },
		} {
			seen := w.count(c, event)
			w.eventually("messages to "+room, func(ctx context.Context) bool {
				emit()
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				_, err := w.Node[0].Wait(short, func(redistest.Happening) bool { return w.count(c, event) > seen })
				return err == nil
			})
		}
	}
}

func (w *World) count(client, event string) (n int) {
	for _, h := range w.Node[0].Happenings() {
		if h.Client == client && h.Event == event {
			n++
		}
	}
	return n
}

// arguments waits until a client has got an event, and returns its arguments,
// without the offset that recovery adds.
func (w *World) arguments(event, client string) []json.RawMessage {
	w.tb.Helper()
	h, err := w.Node[0].Wait(Patient(w.tb), func(h redistest.Happening) bool { return h.Client == client && h.Event == event })
	if err != nil {
		w.tb.Fatalf("%s does not get %s: %v", w.nameOf(client), event, err)
	}
	if !w.c.Recovery {
		return h.Args
	}
	if n := len(h.Args); n > 0 && offset.Match(h.Args[n-1]) {
		return h.Args[:n-1]
	}
	w.tb.Errorf("%s got %s without an offset: %s", w.nameOf(client), event, h.Args)
	return h.Args
}

var offset = regexp.MustCompile(`^"\d+-\d+"$`)

// received waits until each of the clients, and checks that none of the others
// has got the event, and returns its arguments as the first one got them. The
// others get a message to everyone, last.
func (w *World) received(event string, clients ...string) []json.RawMessage {
	w.tb.Helper()
	var got []json.RawMessage
	for i, c := range clients {
		if a := w.arguments(event, c); i == 0 {
			got = a
		}
	}
	for _, c := range w.Clients {
		if want := slices.Contains(clients, c); w.count(c, event) != map[bool]int{true: 1}[want] {
			w.tb.Errorf("%s got %s %d times", w.nameOf(c), event, w.count(c, event))
		}
	}
	return got
}

// nameOf says whose client one is.
func (w *World) nameOf(client string) string {
	names := []string{"go0", "go1", "node0", "node1"}
	if i := slices.Index(w.Clients, client); i >= 0 && i < len(names) {
		return "the client of " + names[i]
	}
	return client
}

func (w *World) eventually(what string, cond func(context.Context) bool) {
	w.tb.Helper()
	ctx := Patient(w.tb)
	for !cond(ctx) {
		if ctx.Err() != nil {
			w.tb.Fatalf("waited for %s", what)
		}
	}
}
