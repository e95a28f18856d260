package redisstream_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// mixtures are kinds of clusters of Go and Node.js servers.
var mixtures = []struct {
	name     string
	adapter  string // of redistest
	sharded  bool   // useShardedPubSub
	streams  int    // streamCount
	cluster  bool   // a Redis Cluster
	recovery bool
}{
	{"recovery", "redis-streams", false, 1, false, true},
	{"no recovery", "redis-streams", false, 1, false, false},
	{"ioredis", "redis-streams-ioredis", false, 1, false, true},
	{"sharded channels", "redis-streams", true, 1, false, true},
	{"in a cluster", "redis-streams", false, 1, true, true},
	{"sharded channels in a cluster", "redis-streams", true, 4, true, true},
	{"ioredis in a cluster", "redis-streams-ioredis", false, 1, true, true},
	{"ioredis with sharded channels in a cluster", "redis-streams-ioredis", true, 1, true, true},
}

// TestMixed: Go and Node.js servers are one cluster, whoever does what.
func TestMixed(t *testing.T) {
	single, outer := redistest.Standalone(t), t
	var cluster *redistest.RedisCluster
	for i, m := range mixtures {
		t.Run(m.name, func(t *testing.T) {
			o := redisstream.Options{
				URLs: []string{single.URL()}, StreamName: fmt.Sprint("mixed", i), ChannelPrefix: fmt.Sprint("mixed", i),
				UseShardedPubSub: m.sharded, StreamCount: m.streams,
			}
			if m.cluster {
				if cluster == nil {
					cluster = redistest.Cluster(outer, 0)
				}
				o.URLs = cluster.URLs()
			}
			mixedtest.Run(t, mixedtest.Cluster{
				Start: func(tb testing.TB, name string) mixedtest.Member {
					o := o
					o.Name = name
					return start(tb, o)
				},
				Adapter: m.adapter, URLs: o.URLs, Recovery: m.recovery,
				Options: args{
					"streamName": o.StreamName, "channelPrefix": o.ChannelPrefix, "useShardedPubSub": m.sharded, "streamCount": m.streams,
				},
				Healthy: func(tb testing.TB, m mixedtest.Member) {
					s := m.(*redisstream.Cluster).Stats()
					if s.Drops != (redisstream.Drops{}) || s.Channels.Drops != (redisstream.ChannelDrops{}) || s.Gaps+s.Malformed+s.ReadErrors != 0 {
						tb.Errorf("%+v", s)
					}
				},
			})
		})
	}
}

// TestRecoverAcross: the official client recovers from Node.js to Go, and back,
// with its socket's data. What it missed has bytes, or has none, which travels in
// another format.
func TestRecoverAcross(t *testing.T) {
	r := redistest.Standalone(t)
	o := redisstream.Options{URLs: []string{r.URL()}}
	peer := redistest.Node(t, redistest.NodeOptions{Adapter: "redis-streams", URLs: o.URLs, Recovery: true})
	web := serveGo(t, start(t, o))
	front := newSwitch(t)
	front.to(peer.Addr())
	c := newClient(t, "http://"+front.addr())
	id := c.connected(false)
	c.emit("join", "r")

	// One after the other: the order of what different servers send is theirs.
	stored := func(emit func()) {
		before := r.Must("XLEN", "socket.io").(int64)
		emit()
		eventually(t, "an entry", func() bool { return r.Must("XLEN", "socket.io").(int64) > before })
	}
	goTo := func(room, event string) {
		values := []any{event, nil}
		if !strings.HasPrefix(event, plain) {
			values = append(values, []byte(event))
		}
		stored(func() { web.io.To(room).Emit(event, values...) })
	}
	nodeTo := func(room, event string) {
		values := []any{event, nil}
		if !strings.HasPrefix(event, plain) {
			values = append(values, args{"$binary": []byte(event)})
		}
		stored(func() { peer.Must("emit", args{"rooms": []string{room}, "event": event, "args": values}) })
	}
	goEmit := func(event string) { goTo("r", event) }
	nodeEmit := func(event string) { nodeTo("r", event) }
	elsewhere := func() {
		goTo("elsewhere", "not for the client")
		nodeTo("elsewhere", "not for the client")
	}
	const data = `{"n":1.5,"o":{"a":[null,true,{}]},"s":"ü"}`
	peer.Must("setData", args{"socket": id, "data": json.RawMessage(data)})
	goEmit("m1")
	nodeEmit("m2")
	c.received("m1", "m2")
	for i, way := range []struct{ from, to, addr string }{
		{"Node.js", "Go", web.addr}, {"Go", "Node.js", peer.Addr()}, {"Node.js", "Go", web.addr}, {"Go", "Go", web.addr},
	} {
		front.to("")
		c.disconnected()
		eventually(t, "the session", func() bool { return len(r.Must("KEYS", "sio:session:*").([]any)) == 1 })
		if way.from == "Go" {
			eventually(t, "the client to be away", func() bool { return web.io.Len() == 0 })
		}
		names := []string{"a", "b", plain + "c", plain + "d"}
		for j, emit := range []func(string){goEmit, nodeEmit, goEmit, nodeEmit} {
			names[j] += string(rune('0' + i))
			emit(names[j])
			elsewhere()
		}
		front.to(way.addr)
		c.received(names...) // before the client tells that it is connected
		if again := c.connected(true); again != id {
			t.Fatalf("%s to %s: the id is %s, was %s", way.from, way.to, again, id)
		}
		for s, err := range web.io.In(id).Sockets(patient(t)) {
			if err != nil || string(s.Data) != data || !slices.Contains(s.Rooms, "r") {
				t.Errorf("%s to %s: %s in %q, %v", way.from, way.to, s.Data, s.Rooms, err)
			}
		}
		live := "live" + string(rune('0'+i))
		nodeEmit(live)
		c.received(live)
	}
}

// plain begins the names of events without bytes.
const plain = "plain "

// goServer is a server on a node.
type goServer struct {
	io   *socketeer.Server
	addr string
}

func serveGo(t *testing.T, c adapter.Factory) *goServer {
	t.Helper()
	io, err := socketeer.NewServer(socketeer.WithAdapter(c), socketeer.WithRecovery(socketeer.Recovery{}))
	if err != nil {
		t.Fatal(err)
	}
	io.On("join", func(ctx context.Context, m *socketeer.Message) error {
		var room string
		if err := m.Decode(&room); err != nil {
			return err
		}
		if err := m.Socket().Join(ctx, room); err != nil {
			return err
		}
		return m.Ack()
	})
	web := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return &goServer{io, web.Listener.Addr().String()}
}

// jsClient is testdata/client.js.
type jsClient struct {
	t     *testing.T
	in    io.Writer
	lines chan happening
}

type happening struct {
	Happened, ID, Event string
	Recovered           bool
	Args                []json.RawMessage
}

func newClient(t *testing.T, url string) *jsClient {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js is not installed")
	}
	modules, err := filepath.Abs("../../test/redis/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "testdata/client.js", url)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &jsClient{t, in, make(chan happening, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			var h happening
			if json.Unmarshal(s.Bytes(), &h) == nil {
				c.lines <- h
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		<-done
		cmd.Wait()
	})
	return c
}

func (c *jsClient) next() happening {
	c.t.Helper()
	select {
	case h := <-c.lines:
		return h
	case <-time.After(patience):
		c.t.Fatal("the client does nothing")
		return happening{}
	}
}

// connected waits for the connection.
func (c *jsClient) connected(recovered bool) (id string) {
	c.t.Helper()
	h := c.next()
	if h.Happened != "connect" || h.Recovered != recovered {
		c.t.Fatalf("got %+v, want a connection, recovered: %v", h, recovered)
	}
	return h.ID
}

func (c *jsClient) disconnected() {
	c.t.Helper()
	if h := c.next(); h.Happened != "disconnect" {
		c.t.Fatalf("got %+v, want a disconnect", h)
	}
}

func (c *jsClient) emit(v ...any) {
	c.t.Helper()
	line, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	c.in.Write(append(line, '\n'))
	if h := c.next(); h.Happened != "acked" {
		c.t.Fatalf("got %+v, want an acknowledgement", h)
	}
}

func (c *jsClient) received(events ...string) {
	c.t.Helper()
	for _, want := range events {
		h := c.next()
		if h.Happened != "event" || h.Event != want {
			c.t.Fatalf("got %+v, want %s", h, want)
		}
		values := fmt.Sprintf("%q null ", want)
		if !strings.HasPrefix(want, plain) {
			values += fmt.Sprintf(`{"$binary":%q} `, base64.StdEncoding.EncodeToString([]byte(want)))
		}
		if got := fmt.Sprintf("%s", h.Args); !strings.HasPrefix(got, "["+values+`"`) || strings.Count(got, "-") != 1 { // the offset
			c.t.Errorf("%s has %s", want, got)
		}
	}
}

// switchboard is an address behind which servers change.
type switchboard struct {
	l net.Listener

	mu     sync.Mutex
	target string
	conns  []net.Conn
}

func newSwitch(t *testing.T) *switchboard {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &switchboard{l: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.join(c, &wg) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.to("")
		wg.Wait()
	})
	return s
}

func (s *switchboard) addr() string { return s.l.Addr().String() }

func (s *switchboard) join(c net.Conn, wg *sync.WaitGroup) {
	defer c.Close()
	s.mu.Lock()
	target := s.target
	s.mu.Unlock()
	if target == "" {
		return
	}
	d, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	s.mu.Lock()
	stale := s.target != target
	s.conns = append(s.conns, c, d)
	s.mu.Unlock()
	if stale {
		d.Close()
		return
	}
	wg.Go(func() {
		io.Copy(c, d)
		c.Close()
	})
	io.Copy(d, c)
	d.Close()
}

// to cuts all connections and has those to come go to a server; to nobody if
// there is none.
func (s *switchboard) to(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = target
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}
