package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// world is a cluster of two Go and two Node.js servers with one official client
// each. The clients live in the process of the first Node.js server.
type world struct {
	t       testing.TB
	options redis.Options
	golang  []*goServer
	node    []*redistest.Peer
	// Ids of the clients: of the Go servers, then of the Node.js servers.
	client []string
}

type goServer struct {
	io     *socketeer.Server
	member *redis.Cluster
	url    string
}

// mixture is a kind of cluster.
type mixture struct {
	name    string
	adapter string // of redistest
	options redis.Options
	cluster bool // a Redis Cluster
}

var mixtures = []mixture{
	{"classic", "redis", redis.Options{}, false},
	{"classic ioredis", "redis-ioredis", redis.Options{}, false},
	{"classic in a cluster", "redis", redis.Options{}, true},
	{"sharded dynamic", "redis-sharded", redis.Options{Mode: redis.Sharded}, false},
	{"sharded dynamic ioredis", "redis-sharded-ioredis", redis.Options{Mode: redis.Sharded}, false},
	{"sharded static", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.Static}, false},
	{"sharded dynamic-private", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.DynamicPrivate}, false},
	{"sharded in a cluster", "redis-sharded", redis.Options{Mode: redis.Sharded}, true},
}

// newWorld starts one.
func newWorld(t *testing.T, m mixture, urls []string) *world {
	t.Helper()
	prefix := fmt.Sprint("world", clusters.Add(1))
	o := m.options
	o.URLs, o.Prefix, o.HeartbeatTimeout, o.LeaveDelay = urls, prefix, 2*time.Second, 50*time.Millisecond
	w := &world{t: t, options: o}
	options := args{"key": prefix, "channelPrefix": prefix}
	if m.options.Mode == redis.Sharded {
		options["subscriptionMode"] = m.options.Subscription.String()
	}
	for i := range 2 {
		w.node = append(w.node, redistest.Node(t, redistest.NodeOptions{
			Adapter: m.adapter, URLs: urls, AdapterOptions: options, ServerSideAnswer: []any{fmt.Sprint("node", i)},
		}))
	}
	for i := range 2 {
		w.startGo(fmt.Sprint("go", i))
	}
	for _, g := range w.golang {
		if err := g.member.WaitPeers(patient(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range w.golang {
		w.client = append(w.client, w.connect(g.url))
	}
	for _, n := range w.node {
		w.client = append(w.client, w.connect(n.URL()))
	}
	// Node.js adapters subscribe without waiting for it.
	for _, n := range w.node {
		w.eventually("all servers to be there", func(ctx context.Context) bool {
			count, err := n.Call(ctx, "serverCount", nil)
			return err == nil && string(count) == "4"
		})
	}
	return w
}

// startGo adds a Go server.
func (w *world) startGo(name string) *goServer {
	w.t.Helper()
	o := w.options
	o.Name = name
	g := &goServer{member: node(w.t, o)}
	var err error
	if g.io, err = socketeer.NewServer(socketeer.WithAdapter(g.member)); err != nil {
		w.t.Fatal(err)
	}
	g.io.OnConnect(func(_ context.Context, s *socketeer.Socket) error {
		s.Set("name", name)
		return nil
	})
	g.io.On("join", func(ctx context.Context, m *socketeer.Message) error {
		var rooms []string
		if err := m.Decode(&rooms); err != nil {
			return err
		}
		if err := m.Socket().Join(ctx, rooms...); err != nil {
			return err
		}
		return m.Ack()
	})
	g.io.OnServerSide("ask", func(_ context.Context, m *socketeer.Message) error { return m.Ack(name) })
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", g.io)
	web := httptest.NewServer(mux)
	g.url = web.URL
	w.t.Cleanup(func() {
		g.io.Close()
		web.Close()
	})
	w.golang = append(w.golang, g)
	return g
}

// connect opens a client that acknowledges with its id.
func (w *world) connect(url string) string {
	w.t.Helper()
	return w.node[0].Connect(args{"url": url, "ack": []any{"yes", args{"$binary": "AQI="}}, "auth": args{"token": "t"}})
}

// do has a Node.js server carry out an operation.
func (w *world) do(node int, op string, a any) json.RawMessage {
	w.t.Helper()
	result, err := w.node[node].Call(patient(w.t), op, a)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// join has clients join rooms and waits until everybody knows.
func (w *world) join(room string, clients ...string) {
	w.t.Helper()
	for _, c := range clients {
		w.do(0, "clientAsk", args{"client": c, "event": "join", "args": []any{[]string{room}}})
	}
	w.settle(room, clients...)
}

// settle returns when messages to the room from both kinds reach the clients:
// Node.js does not wait for its subscriptions.
func (w *world) settle(room string, clients ...string) {
	w.t.Helper()
	for i, c := range clients {
		event := fmt.Sprintf("settle %s %d", room, i)
		for _, emit := range []func(){
			func() { must(w.t, w.golang[0].io.To(room).Emit(event)) },
			func() { w.do(0, "emit", args{"rooms": []string{room}, "event": event}) },
		} {
			seen := w.count(c, event)
			w.eventually("messages to "+room, func(ctx context.Context) bool {
				emit()
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				_, err := w.node[0].Wait(short, func(redistest.Happening) bool { return w.count(c, event) > seen })
				return err == nil
			})
		}
	}
}

func (w *world) count(client, event string) (n int) {
	for _, h := range w.node[0].Happenings() {
		if h.Client == client && h.Event == event {
			n++
		}
	}
	return n
}

// received waits until each of the clients, and then that none of the others
// has got the event, and returns its arguments as the first one got them. The
// others get a message to everyone, last.
func (w *world) received(event string, clients ...string) []json.RawMessage {
	w.t.Helper()
	var got []json.RawMessage
	for _, c := range clients {
		h, err := w.node[0].Wait(patient(w.t), func(h redistest.Happening) bool { return h.Client == c && h.Event == event })
		if err != nil {
			w.t.Fatalf("%s does not get %s: %v", w.nameOf(c), event, err)
		}
		if got == nil {
			got = h.Args
		}
	}
	for _, c := range w.client {
		if want := slices.Contains(clients, c); w.count(c, event) != map[bool]int{true: 1}[want] {
			w.t.Errorf("%s got %s %d times", w.nameOf(c), event, w.count(c, event))
		}
	}
	return got
}

// nameOf says whose client one is.
func (w *world) nameOf(client string) string {
	names := []string{"go0", "go1", "node0", "node1"}
	if i := slices.Index(w.client, client); i >= 0 && i < len(names) {
		return "the client of " + names[i]
	}
	return client
}

func (w *world) eventually(what string, cond func(context.Context) bool) {
	w.t.Helper()
	ctx := patient(w.t)
	for !cond(ctx) {
		if ctx.Err() != nil {
			w.t.Fatalf("waited for %s", what)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
