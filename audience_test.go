package socketeer_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/protocol/eio"
	hostile "github.com/socketeer-io/socketeer/test/hostile/peer"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

// What a audience is told, and how long the frame is that each of it gets.
const (
	room      = "lobby"
	said      = "hello, how are you today?"
	frameSize = 2 + len(`42["message","`+said+`"]`)
)

// audience is a server with many sockets in one room, whose clients take what was
// sent only when they are told to.
type audience struct {
	*socketeer.Server
	tb      testing.TB
	web     *httptest.Server // for WebSocket
	sockets []*socketeer.Socket
	drains  []func(messages int) // one a client
}

// transport connects a client to a audience's server, and returns what makes it
// take the messages that were sent to it.
type transport func(c *audience) (drain func(messages int))

func gather(tb testing.TB, connect transport, n int) *audience {
	tb.Helper()
	srv, err := socketeer.NewServer(socketeer.WithPingInterval(time.Hour))
	must(tb, err)
	tb.Cleanup(func() { must(tb, srv.Close()) })
	c := &audience{Server: srv, tb: tb}
	for range n {
		c.drains = append(c.drains, connect(c))
	}
	until(tb, "everyone is there", func() bool { return srv.Len() == n })
	c.sockets = slices.Collect(srv.Sockets())
	for _, s := range c.sockets {
		must(tb, s.Join(tb.Context(), room))
	}
	return c
}

// onPolling is a client on polling, by calls of the server's handler: no socket
// of the kernel is involved. What is sent stays in the connection's queue until
// it is drained.
func onPolling(c *audience) func(messages int) {
	const target = "/socket.io/?EIO=4&transport=polling"
	call := func(method, target, body string) string {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body)))
		if w.Code != http.StatusOK {
			c.tb.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
		return w.Body.String()
	}
	h, err := eio.ParseHandshake([]byte(call(http.MethodGet, target, "")[1:]))
	must(c.tb, err)
	session := target + "&sid=" + h.SID
	call(http.MethodPost, session, "40")
	call(http.MethodGet, session, "")
	return func(messages int) {
		if n := strings.Count(call(http.MethodGet, session, ""), said); n != messages {
			c.tb.Fatalf("%d messages instead of %d", n, messages)
		}
	}
}

// onWebSocket is a client over loopback. What is sent is written by the
// server's flushers, and stays in the kernel until it is drained.
func onWebSocket(c *audience) func(messages int) {
	if c.web == nil {
		c.web = httptest.NewServer(c)
		c.tb.Cleanup(c.web.Close)
	}
	client := hostile.Dial(c.tb, c.web.Listener.Addr().String())
	client.Upgrade("/socket.io/?EIO=4&transport=websocket")
	client.Message()
	client.Text("40")
	client.Message()
	frames := make([]byte, batch*frameSize)
	return func(messages int) {
		must(c.tb, client.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.ReadFull(client.Conn, frames[:messages*frameSize])
		must(c.tb, err)
	}
}

// tell sends to the room, and to WebSockets waits until it is written.
func (c *audience) tell() {
	if err := c.In(room).Emit("message", said); err != nil {
		c.tb.Fatal(err)
	}
	if c.web == nil {
		return
	}
	limit := time.Now().Add(patience)
	for _, s := range c.sockets {
		for s.Conn().Buffered() > 0 {
			if time.Now().After(limit) {
				c.tb.Fatal("not written")
			}
			runtime.Gosched()
		}
	}
}

// batch is how many messages are sent between two drains: more than a piece of
// a queue holds.
const batch = 40

// drain collects no garbage, which would empty the pool of what queues are made
// of: clients that are no part of the test make much more of it than the server.
func (c *audience) drain(messages int) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, drain := range c.drains {
		drain(messages)
	}
}

// fill sends and drains, so that what is measured later finds its memory.
func (c *audience) fill(send func()) {
	for range batch {
		send()
	}
	c.drain(batch)
}

// repeat measures what sends one message to each of the audience. Draining is
// not measured.
func (c *audience) repeat(b *testing.B, send func()) {
	c.fill(send)
	b.ReportAllocs()
	undrained := 0
	for b.Loop() {
		send()
		if undrained++; undrained == batch {
			b.StopTimer()
			c.drain(batch)
			undrained = 0
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(c.sockets)), "ns/member")
}

// allocs is how many allocations send takes.
func (c *audience) allocs(send func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // AllocsPerRun does, and the pools would begin anew
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c.fill(send)
	n := testing.AllocsPerRun(batch-1, send) // and once before counting
	c.drain(batch)
	return n
}

// seat skips an audience on WebSocket for which this process may not open the
// files: both ends of each connection, and some besides.
func seat(tb testing.TB, transport string, members int) {
	tb.Helper()
	if transport != "websocket" {
		return
	}
	need := uint64(2*members + 100)
	files, err := loadgen.FileLimit()
	if err != nil {
		tb.Skip(err)
	}
	if files < need {
		tb.Skipf("takes %d open files, and there may be %d", need, files)
	}
}

// BenchmarkBroadcast sends to a room: on polling as far as the queues of the
// connections, on WebSocket as far as the kernel.
func BenchmarkBroadcast(b *testing.B) {
	for _, bb := range []struct {
		transport string
		connect   transport
		members   int
	}{
		{"queue", onPolling, 10},
		{"queue", onPolling, 1000},
		{"queue", onPolling, 10_000},
		{"websocket", onWebSocket, 10},
		{"websocket", onWebSocket, 1000},
		{"websocket", onWebSocket, 10_000},
	} {
		b.Run(fmt.Sprintf("%s-%d", bb.transport, bb.members), func(b *testing.B) {
			seat(b, bb.transport, bb.members)
			c := gather(b, bb.connect, bb.members)
			c.repeat(b, c.tell)
		})
	}
}

// A broadcast takes as many allocations for 10,000 as for 10, none for
// a receiver: for the list of rooms, the arguments with the name (2), their
// JSON, what the adapter gets, the list of namespaces, the frame and the message.
func TestBroadcastAllocs(t *testing.T) {
	hotpath.SkipInRace(t)
	const stated = 8
	for _, tt := range []struct {
		name    string
		connect transport
		members []int
	}{
		{"queue", onPolling, []int{10, 1000, 10_000}},
		{"websocket", onWebSocket, []int{10, 1000, 10_000}},
	} {
		for _, members := range tt.members {
			t.Run(fmt.Sprintf("%s-%d", tt.name, members), func(t *testing.T) {
				seat(t, tt.name, members)
				c := gather(t, tt.connect, members)
				if n := c.allocs(c.tell); n > stated {
					t.Errorf("%v allocations, stated are %v", n, stated)
				}
			})
		}
	}
}

// BenchmarkEmit sends to one socket, as far as its connection's queue.
func BenchmarkEmit(b *testing.B) {
	c := gather(b, onPolling, 1)
	c.repeat(b, c.emit)
}

func (c *audience) emit() {
	if err := c.sockets[0].Emit("message", said); err != nil {
		c.tb.Fatal(err)
	}
}

// Allocated are the arguments with the name (2), the frame and the message.
func TestEmitAllocs(t *testing.T) {
	hotpath.SkipInRace(t)
	const stated = 4
	c := gather(t, onPolling, 1)
	if n := c.allocs(c.emit); n > stated {
		t.Errorf("%v allocations, stated are %v", n, stated)
	}
}

// hotPath are the operations that send nothing.
var hotPath = []hotpath.Op{
	{Name: "join-leave", Allocs: 0, Make: func(tb testing.TB) func() { return joinLeave(tb, room) }},
	// The room, and its list of members.
	{Name: "join-leave-alone", Allocs: 2, Make: func(tb testing.TB) func() { return joinLeave(tb, "cellar") }},
}

// joinLeave joins and leaves a room. Half of the audience is in the lobby.
func joinLeave(tb testing.TB, name string) func() {
	c := gather(tb, onPolling, 2)
	s, rooms := c.sockets[0], []string{name}
	s.Leave(room)
	return func() {
		if err := s.Join(tb.Context(), rooms...); err != nil {
			tb.Fatal(err)
		}
		s.Leave(rooms...)
	}
}

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
