package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// storm is clients of ten rooms that are cut off together and miss messages.
type storm struct {
	clients, messages int
	history           int  // of the nodes, in bytes; 0 is the default
	live              bool // messages go on while they come back
}

const stormRooms = 10

// TestStorm cuts all clients of a node while others send. They come back at
// once: half of them to a node that was there, and has what they missed in its
// memory, half to one that has just started, and reads it from Redis. What that
// costs Redis follows what was missed, not how many missed it. With the race
// detector, and other tests beside, there are fewer.
func TestStorm(t *testing.T) { storm{clients: 5000 - raceEnabled*3500, messages: 600}.run(t) }

// TestStormBeyondTheHistory is one in which no node has in its memory what was
// missed.
func TestStormBeyondTheHistory(t *testing.T) {
	storm{clients: 1000 - raceEnabled*500, messages: 4000, history: 64 << 10}.run(t)
}

// TestStormWhileMessagesGoOn is one in which it becomes more meanwhile.
func TestStormWhileMessagesGoOn(t *testing.T) {
	storm{clients: 1000 - raceEnabled*500, messages: 2000, history: 64 << 10, live: true}.run(t)
}

func (w storm) run(t *testing.T) {
	r := redistest.Standalone(t)
	prefix := unique()
	first, second := w.node(t, r, prefix, "first"), w.node(t, r, prefix, "second")
	must(t, first.WaitPeers(patient(t), 1))
	clients := make([]*returner, w.clients)
	each(clients, 200, func(i int) {
		clients[i] = &returner{next: make(map[string]int)}
		clients[i].connect(t, first.addr)
		clients[i].ask(t)
	})
	must(t, first.io.Emit("n", "", 0))
	each(clients, 200, func(i int) {
		clients[i].readUntil(t, func() bool { return clients[i].next[""] == 1 })
		clients[i].conn.Close()
	})
	eventually(t, "all to be gone", func() bool { return first.io.Len() == 0 })
	sent := 0
	send := func() error {
		room := fmt.Sprint("room ", sent%stormRooms)
		sent++
		return second.io.To(room).Emit("n", room, (sent-1)/stormRooms)
	}
	for range w.messages {
		must(t, send())
	}
	must(t, second.io.Emit("n", "", 1))
	third := w.node(t, r, prefix, "third")
	r.Must("CONFIG", "RESETSTAT")
	each(clients, 200, func(i int) { clients[i].connect(t, []*node{second, third}[i%2].addr) })
	stop := w.goOn(t, send)
	took := make([]time.Duration, len(clients))
	began := time.Now()
	each(clients, len(clients), func(i int) {
		began := time.Now()
		clients[i].ask(t)
		took[i] = time.Since(began)
	})
	all := time.Since(began)
	stop()
	reads := reads(t, r)
	must(t, second.io.Emit("n", "", 2))
	each(clients, 200, func(i int) { clients[i].readUntil(t, func() bool { return clients[i].next[""] == 3 }) })
	var scans uint64
	for _, n := range []*node{second, third} {
		if s := n.io.RecoveryStats(); len(s.Failed) > 0 || s.Recovered != uint64(w.clients/2) {
			t.Errorf("%s: %+v", n.name, s)
		}
		scans += n.member.(streamsMember).Stats().Scans
	}
	for i, c := range clients {
		if !c.recovered || c.next[c.room] != sentTo(c.room, sent) {
			t.Fatalf("client %d: recovered %v, has %v", i, c.recovered, c.next)
		}
	}
	slices.Sort(took)
	t.Logf("%d clients that missed %d messages each recovered in %v: p50 %v, p99 %v; pages read: %d; reads of Redis: %v",
		len(clients), w.messages/stormRooms+1, all, took[len(took)/2], took[len(took)*99/100], scans, reads)
	// The first page has a hundred entries, the others a thousand. Where the stream
	// ends is asked once for all who come during an answer.
	if scans > 4+uint64(2*sent/1000) || reads["xrange"] > int(scans) || reads["xread"] > 20+sent || reads["xrevrange"] > w.clients/5+int(scans) {
		t.Errorf("pages read: %d; reads of Redis: %v", scans, reads)
	}
	if p99 := took[len(took)*99/100]; p99 > 2*time.Second && raceEnabled == 0 {
		t.Errorf("the 99th percentile is %v", p99)
	}
}

// sentTo returns how many of the messages were sent to a room.
func sentTo(room string, sent int) (n int) {
	for k := range sent {
		if room == fmt.Sprint("room ", k%stormRooms) {
			n++
		}
	}
	return n
}

// goOn sends now and then, if messages go on, until stop is called.
func (w storm) goOn(t testing.TB, send func() error) (stop func()) {
	if !w.live {
		return func() {}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := send(); err != nil {
					t.Error(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// node starts a node whose clients are each in one of the rooms.
func (w storm) node(t testing.TB, r *redistest.Server, prefix, name string) *node {
	t.Helper()
	n := &node{name: name, member: startAdjusted(t, []string{r.URL()}, prefix, name, func(o *redisstream.Options) {
		o.HistoryBytes = w.history
		o.KeepTimeout = patience // however busy the machine is: a message that is not kept ends recovery
	})}
	io, err := socketeer.NewServer(socketeer.WithAdapter(n.member), socketeer.WithRecovery(socketeer.Recovery{}),
		socketeer.WithPingInterval(time.Minute), socketeer.WithConnectTimeout(time.Minute), socketeer.WithRequestTimeout(time.Minute))
	must(t, err)
	n.io = io
	var count atomic.Int64
	io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		if s.Recovered() {
			return nil
		}
		room := fmt.Sprint("room ", count.Add(1)%stormRooms)
		if err := s.Join(ctx, room); err != nil {
			return err
		}
		return s.Volatile().Emit("room", room) // and so not kept
	})
	web := httptest.NewServer(io)
	n.addr = web.Listener.Addr().String()
	t.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return n
}

// each calls f for every client, for so many at a time.
func each(clients []*returner, together int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(clients); i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// reads returns how often Redis was asked for entries.
func reads(t testing.TB, r *redistest.Server) map[string]int {
	t.Helper()
	calls := make(map[string]int)
	for _, m := range callsOf.FindAllStringSubmatch(fmt.Sprint(r.Must("INFO", "commandstats")), -1) {
		n, err := strconv.Atoi(m[2])
		must(t, err)
		calls[m[1]] = n
	}
	return calls
}

var callsOf = regexp.MustCompile(`cmdstat_(xrange|xrevrange|xread):calls=(\d+)`)

// returner is a client of few bytes, and of no goroutine, that comes back.
type returner struct {
	conn        *wsconn.Client
	pid, offset string
	room        string
	connected   bool
	recovered   bool
	next        map[string]int // number of the next message, by room; "" is everyone
}

// connect opens a connection.
func (c *returner) connect(t testing.TB, addr string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := wsconn.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", wsconn.DialOptions{})
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(2 * patience))
	}
	if err != nil {
		t.Errorf("connect: %v", err)
		c.conn = new(wsconn.Client)
		return
	}
	t.Cleanup(func() { conn.Close() })
	c.conn = conn
}

// ask asks for a session, for the old one if there was one, and reads until it
// is there and the client knows its room.
func (c *returner) ask(t testing.TB) {
	auth := []byte("40")
	if c.pid != "" {
		b, err := json.Marshal(map[string]string{"pid": c.pid, "offset": c.offset})
		if err != nil {
			t.Error(err)
		}
		auth = append(auth, b...)
	}
	if err := c.conn.WriteMessage(auth, false); err != nil {
		t.Error(err)
		return
	}
	c.connected = false
	c.readUntil(t, func() bool { return c.connected && c.room != "" })
}

// readUntil reads until something has come.
func (c *returner) readUntil(t testing.TB, cond func() bool) {
	for !cond() {
		b, _, err := c.conn.ReadMessage()
		if err == nil {
			err = c.take(b)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// take looks at a packet.
func (c *returner) take(b []byte) error {
	switch kind, rest := string(b[:min(2, len(b))]), b[min(2, len(b)):]; {
	case kind == "40":
		var said struct{ PID string }
		if err := json.Unmarshal(rest, &said); err != nil {
			return err
		}
		c.connected, c.recovered, c.pid = true, said.PID == c.pid, said.PID
	case kind == "42":
		return c.event(rest)
	case !strings.HasPrefix(kind, "0"): // the session's
		return fmt.Errorf("got %s", b)
	}
	return nil
}

func (c *returner) event(data []byte) error {
	var name, room string
	var number int
	var offset string
	if err := json.Unmarshal(data, &[]any{&name, &room, &number, &offset}); err != nil {
		return err
	}
	if name == "room" {
		c.room = room
		return nil
	}
	if number != c.next[room] || offset == "" || room != "" && room != c.room {
		return fmt.Errorf("a client of %s, whose next number is %d, got %s", c.room, c.next[room], data)
	}
	c.next[room], c.offset = number+1, offset
	return nil
}
