package redisstream_test

import (
	"bufio"
	"context"
	"encoding/json"
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
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// TestMixed: a Go node and a Node.js server are one cluster.
func TestMixed(t *testing.T) {
	r := redistest.Standalone(t)
	o := redisstream.Options{URLs: []string{r.URL()}}
	peer := redistest.Node(t, redistest.NodeOptions{Adapter: "redis-streams", URLs: o.URLs, Recovery: true, ServerSideAnswer: []any{"node says"}})
	web := serveGo(t, start(t, o))
	there := peer.Connect(args{"ack": []any{"there"}})
	here := peer.Connect(args{"url": web.url, "ack": []any{"here"}})
	room := func(id, name string) {
		peer.Must("clientAsk", args{"client": id, "event": "join", "args": []any{name}})
	}
	room(there, "r")
	room(here, "r")

	web.io.To("r").Emit("from go", 1, []byte{1, 2})
	peer.Must("emit", args{"rooms": []string{"r"}, "event": "from node", "args": []any{2, args{"$binary": "AwQ="}}})
	for _, id := range []string{here, there} {
		for _, event := range []string{"from go", "from node"} {
			got, err := peer.Wait(patient(t), func(h redistest.Happening) bool {
				return h.Happened == "received" && h.Client == id && h.Event == event
			})
			if err != nil || len(got.Args) != 3 || !strings.Contains(string(got.Args[2]), "-") { // the offset is the last one
				t.Errorf("client %s, %s: got %s, %v", id, event, got.Args, err)
			}
		}
	}

	ids := map[string]bool{}
	for s, err := range web.io.In("r").Sockets(patient(t)) {
		if err != nil {
			t.Fatal(err)
		}
		ids[s.ID] = true
	}
	if !ids[here] || !ids[there] || len(ids) != 2 {
		t.Errorf("Go finds %v", ids)
	}
	if found := string(peer.Must("fetchSockets", args{"rooms": []string{"r"}})); !strings.Contains(found, here) || !strings.Contains(found, there) {
		t.Errorf("Node.js finds %s", found)
	}
	replies, err := web.io.In("r").EmitWithAck(patient(t), "question")
	if err != nil || len(replies) != 2 {
		t.Errorf("Go gets %d acknowledgements, %v", len(replies), err)
	}
	var acks []string
	if err := json.Unmarshal(peer.Must("emitWithAck", args{"rooms": []string{"r"}, "event": "question"}), &acks); err != nil {
		t.Fatal(err)
	}
	slices.Sort(acks)
	if !slices.Equal(acks, []string{"here", "there"}) {
		t.Errorf("Node.js gets %v", acks)
	}
	if got := string(peer.Must("serverSideEmitWithAck", args{"event": "ask", "args": []any{1}})); got != `["go says"]` {
		t.Errorf("Node.js gets %s", got)
	}

	// Join and disconnect, of the other's sockets.
	if err := web.io.In(there).Join(patient(t), "by go"); err != nil {
		t.Fatal(err)
	}
	peer.Must("socketsJoin", args{"rooms": []string{here}, "join": []string{"by node"}})
	eventually(t, "the joins", func() bool {
		found := string(peer.Must("fetchSockets", args{}))
		return strings.Contains(found, "by go") && strings.Contains(found, "by node")
	})
	if err := web.io.In(there).Disconnect(patient(t), true); err != nil {
		t.Fatal(err)
	}
	peer.Must("disconnectSockets", args{"rooms": []string{here}, "close": true})
	for _, id := range []string{here, there} {
		if _, err := peer.Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == id }); err != nil {
			t.Error(err)
		}
	}
}

// TestRecoverAcross: the official client recovers from Node.js to Go, and back.
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
	goTo := func(room, event string) { stored(func() { web.io.To(room).Emit(event) }) }
	nodeTo := func(room, event string) {
		stored(func() { peer.Must("emit", args{"rooms": []string{room}, "event": event}) })
	}
	goEmit := func(event string) { goTo("r", event) }
	nodeEmit := func(event string) { nodeTo("r", event) }
	elsewhere := func() {
		goTo("elsewhere", "not for the client")
		nodeTo("elsewhere", "not for the client")
	}
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
		names := []string{"a", "b", "c"}
		for j, emit := range []func(string){goEmit, nodeEmit, goEmit} {
			names[j] += string(rune('0' + i))
			emit(names[j])
			elsewhere()
		}
		front.to(way.addr)
		c.received(names...) // before the client tells that it is connected
		if again := c.connected(true); again != id {
			t.Fatalf("%s to %s: the id is %s, was %s", way.from, way.to, again, id)
		}
		live := "live" + string(rune('0'+i))
		nodeEmit(live)
		c.received(live)
	}
}

// goServer is a server on a node.
type goServer struct {
	io        *socketeer.Server
	url, addr string
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
	io.OnServerSide("ask", func(_ context.Context, m *socketeer.Message) error { return m.Ack("go says") })
	web := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return &goServer{io, web.URL, web.Listener.Addr().String()}
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
		if h := c.next(); h.Happened != "event" || h.Event != want {
			c.t.Fatalf("got %+v, want %s", h, want)
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
