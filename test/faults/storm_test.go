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
	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// The storm: so many clients, of so many rooms, miss so many messages. With the
// race detector, and other tests beside, there are fewer.
const (
	stormClients  = 5000 - raceEnabled*3500
	stormRooms    = 10
	stormMessages = 600
)

// TestStorm cuts all clients of a node while others send. They come back at
// once: half of them to a node that was there, and has what they missed in its
// memory, half to one that has just started, and reads it from Redis. What that
// costs Redis follows what was missed, not how many missed it.
func TestStorm(t *testing.T) {
	r := redistest.Standalone(t)
	prefix := unique()
	first, second := stormNode(t, r, prefix, "first"), stormNode(t, r, prefix, "second")
	must(t, first.WaitPeers(patient(t), 1))
	clients := make([]*returner, stormClients)
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
	for k := range stormMessages {
		room := fmt.Sprint("room ", k%stormRooms)
		must(t, second.io.To(room).Emit("n", room, k/stormRooms))
	}
	must(t, second.io.Emit("n", "", 1))
	third := stormNode(t, r, prefix, "third")
	r.Must("CONFIG", "RESETSTAT")
	each(clients, 200, func(i int) { clients[i].connect(t, []*node{second, third}[i%2].addr) })
	took := make([]time.Duration, len(clients))
	began := time.Now()
	each(clients, len(clients), func(i int) {
		began := time.Now()
		clients[i].ask(t)
		took[i] = time.Since(began)
	})
	all := time.Since(began)
	reads := reads(t, r)
	for _, n := range []*node{second, third} {
		if s := n.io.RecoveryStats(); len(s.Failed) > 0 || s.Recovered != stormClients/2 {
			t.Errorf("%s: %+v", n.name, s)
		}
	}
	for i, c := range clients {
		if !c.recovered || c.next[""] != 2 || c.next[c.room] != stormMessages/stormRooms {
			t.Fatalf("client %d: recovered %v, has %v", i, c.recovered, c.next)
		}
	}
	slices.Sort(took)
	t.Logf("%d clients that missed %d messages each recovered in %v: p50 %v, p99 %v; reads of Redis: %v",
		len(clients), stormMessages/stormRooms+1, all, took[len(took)/2], took[len(took)*99/100], reads)
	// A page has a thousand entries. Where the stream ends is asked once for all
	// who come during an answer.
	if reads["xrange"] > 3+2*stormMessages/1000 || reads["xread"] > 20+stormMessages || reads["xrevrange"] > stormClients/5 {
		t.Errorf("reads of Redis: %v", reads)
	}
	if p99 := took[len(took)*99/100]; p99 > 2*time.Second && raceEnabled == 0 {
		t.Errorf("the 99th percentile is %v", p99)
	}
}

// stormNode starts a node whose clients are each in one of the rooms.
func stormNode(t testing.TB, r *redistest.Server, prefix, name string) *node {
	t.Helper()
	n := &node{member: startStreams(t, []string{r.URL()}, prefix, name), name: name}
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
