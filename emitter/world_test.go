package emitter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// world is a cluster of a Go and a Node.js server, with two official clients
// each, in the process of the latter, and an emitter that belongs to neither.
type world struct {
	t    testing.TB
	io   *socketeer.Server
	node *redistest.Peer
	e    *emitter.Emitter

	onGo, onNode, chatGo, chatNode string // ids of clients; chat: in /chat
	heard                          chan string
	prefix                         string
}

// kind is one of clusters and emitters that fit.
type kind struct {
	name    string
	adapter string // of redistest
	options emitter.Options
	node    args // options of its adapter
	cluster bool // a Redis Cluster
}

var kinds = []kind{
	{"classic", "redis", emitter.Options{}, nil, false},
	{"classic in a cluster", "redis-ioredis", emitter.Options{}, nil, true},
	{"sharded", "redis-sharded", emitter.Options{Mode: emitter.Sharded}, nil, false},
	{"sharded private", "redis-sharded-ioredis", emitter.Options{Mode: emitter.Sharded, Subscription: emitter.DynamicPrivate}, nil, false},
	{"sharded static", "redis-sharded", emitter.Options{Mode: emitter.Sharded, Subscription: emitter.Static}, nil, false},
	{"sharded in a cluster", "redis-sharded", emitter.Options{Mode: emitter.Sharded}, nil, true},
	{"streams", "redis-streams", emitter.Options{Mode: emitter.Streams}, nil, false},
	// Where all nodes read the streams that they write: see nodewire.StreamName.
	{"streams in a cluster", "redis-streams", emitter.Options{Mode: emitter.Streams, StreamCount: 4, MaxLen: -1}, args{"streamCount": 4}, true},
}

var worlds atomic.Uint64

func newWorld(t *testing.T, k kind, urls []string) *world {
	t.Helper()
	o := k.options
	o.URLs, o.Prefix = urls, fmt.Sprint("world", worlds.Add(1))
	w := &world{t: t, prefix: o.Prefix, heard: make(chan string, 100)}
	options := args{"key": o.Prefix, "channelPrefix": o.Prefix, "streamName": o.Prefix}
	if o.Mode == emitter.Sharded {
		options["subscriptionMode"] = o.Subscription.String()
	}
	for name, v := range k.node {
		options[name] = v
	}
	w.node = redistest.Node(t, redistest.NodeOptions{
		Adapter: k.adapter, URLs: urls, AdapterOptions: options, Namespaces: []string{"/", "/chat"},
	})
	web := w.serve(member(t, o))
	connect := func(url, nsp string) string { return w.node.Connect(args{"url": url, "nsp": nsp}) }
	w.onGo, w.onNode = connect(web, "/"), connect(w.node.URL(), "/")
	w.chatGo, w.chatNode = connect(web, "/chat"), connect(w.node.URL(), "/chat")
	w.e = open(t, o)
	w.settle("/", "", w.onGo, w.onNode)
	w.settle("/chat", "", w.chatGo, w.chatNode)
	return w
}

// member joins a Go node to the cluster for which an emitter has the options.
func member(t *testing.T, o emitter.Options) adapter.Factory {
	t.Helper()
	if o.Mode == emitter.Streams {
		c, err := redisstream.New(patient(t), redisstream.Options{
			URLs: o.URLs, StreamName: o.Prefix, ChannelPrefix: o.Prefix, StreamCount: o.StreamCount, MaxLen: o.MaxLen,
		})
		must(t, err)
		t.Cleanup(func() { c.Close(patient(t)) })
		return c
	}
	c, err := redis.New(patient(t), redis.Options{
		URLs: o.URLs, Prefix: o.Prefix, Mode: redis.Mode(o.Mode), Subscription: redis.Subscription(o.Subscription),
	})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(context.Background())) })
	return c
}

// serve starts the Go server.
func (w *world) serve(a adapter.Factory) (url string) {
	w.t.Helper()
	io, err := socketeer.NewServer(socketeer.WithAdapter(a))
	must(w.t, err)
	w.io = io
	for _, nsp := range []string{"/", "/chat"} {
		io.Of(nsp).On("join", func(ctx context.Context, m *socketeer.Message) error {
			var rooms []string
			if err := m.Decode(&rooms); err != nil {
				return err
			}
			if err := m.Socket().Join(ctx, rooms...); err != nil {
				return err
			}
			return m.Ack()
		})
		io.Of(nsp).OnServerSide("hello", func(_ context.Context, m *socketeer.Message) error {
			var text string
			var bytes []byte
			if err := m.Decode(&text, &bytes); err != nil {
				return err
			}
			w.heard <- fmt.Sprint(nsp, " ", text, " ", bytes)
			return nil
		})
	}
	web := httptest.NewServer(io)
	w.t.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return web.URL
}

// join has a client join rooms and waits until the emitter reaches it there.
func (w *world) join(room string, clients ...string) {
	w.t.Helper()
	for _, c := range clients {
		w.node.Must("clientAsk", args{"client": c, "event": "join", "args": []any{[]string{room}}})
	}
	w.settle("/", room, clients...)
}

// settle returns when the emitter reaches the clients: Node.js does not wait
// for its subscriptions.
func (w *world) settle(nsp, room string, clients ...string) {
	w.t.Helper()
	b := w.e.Of(nsp).Broadcast
	if room != "" {
		b = b.To(room)
	}
	for _, c := range clients {
		event := fmt.Sprintf("settle %q for %s", room, c)
		ctx := patient(w.t)
		for w.count(c, event) == 0 {
			must(w.t, b.Emit(event))
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			_, _ = w.node.Wait(short, func(redistest.Happening) bool { return w.count(c, event) > 0 })
			cancel()
			if ctx.Err() != nil {
				w.t.Fatalf("the emitter does not reach %s in %q", w.nameOf(c), room)
			}
		}
	}
}

// members waits until the clients alone are in a room.
func (w *world) members(room string, clients ...string) {
	w.t.Helper()
	slices.Sort(clients)
	eventually(w.t, "the members of "+room, func() bool {
		var list []struct{ ID string }
		must(w.t, json.Unmarshal(w.node.Must("fetchSockets", args{"rooms": []string{room}}), &list))
		var ids []string
		for _, s := range list {
			ids = append(ids, s.ID)
		}
		slices.Sort(ids)
		return slices.Equal(ids, clients)
	})
}

func (w *world) count(client, event string) (n int) {
	for _, h := range w.node.Happenings() {
		if h.Client == client && h.Event == event {
			n++
		}
	}
	return n
}

// received waits until each of the clients has got the event, and returns its
// arguments as the first one got them. That nobody else got it is known when a
// message to everyone has come.
func (w *world) received(event string, clients ...string) (first []json.RawMessage) {
	w.t.Helper()
	all := []string{w.onGo, w.onNode, w.chatGo, w.chatNode}
	after := "after " + event
	must(w.t, w.e.Emit(after))
	must(w.t, w.e.Of("chat").Emit(after))
	must(w.t, w.e.Flush(patient(w.t)))
	for i, c := range slices.Concat(clients, all) {
		name := event
		if i >= len(clients) {
			name = after
		}
		h, err := w.node.Wait(patient(w.t), func(h redistest.Happening) bool { return h.Client == c && h.Event == name })
		if err != nil {
			w.t.Fatalf("%s does not get %s: %v", w.nameOf(c), name, err)
		}
		if i == 0 {
			first = h.Args
		}
	}
	for _, c := range all {
		if want := slices.Contains(clients, c); w.count(c, event) != map[bool]int{true: 1}[want] {
			w.t.Errorf("%s got %s %d times", w.nameOf(c), event, w.count(c, event))
		}
	}
	return first
}

func (w *world) nameOf(client string) string {
	return map[string]string{
		w.onGo: "the client of Go", w.onNode: "the client of Node.js",
		w.chatGo: "the client of Go in /chat", w.chatNode: "the client of Node.js in /chat",
	}[client]
}
