package loadgen_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// faulty is a server that serves the bench application badly: no real one
// loses, repeats or swaps messages when asked to.
type faulty struct {
	// deliver is called for each member's nth delivery. It may send the message,
	// more than once, or hold it back until after the next one it sends.
	deliver func(n int, send, hold func())
	// recovers makes it keep sessions and what they miss.
	recovers bool

	mu       sync.Mutex // held for each packet handled
	rooms    map[string][]*peer
	sessions int
	left     map[string]*peer // by session id; the room and who was in it
	said     map[string][]string
}

type peer struct {
	conn  net.Conn
	count int
	held  []byte
	pid   string
	room  string
}

func (f *faulty) start(t *testing.T) string {
	t.Helper()
	f.rooms, f.left, f.said = make(map[string][]*peer), make(map[string]*peer), make(map[string][]string)
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if err := f.serve(c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !isReset(err) {
					t.Error(err)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

func (f *faulty) serve(c net.Conn) error {
	r := bufio.NewReader(c)
	if _, err := http.ReadRequest(r); err != nil {
		return err
	}
	head := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + string(loadgen.AcceptValue()) + "\r\n\r\n"
	if _, err := c.Write(append([]byte(head), serverFrame(1, `0{"sid":"x"}`)...)); err != nil {
		return err
	}
	p := &peer{conn: c}
	for {
		text, err := readClientFrame(r)
		if err != nil {
			return err
		}
		if err := f.handle(p, text); err != nil {
			return err
		}
	}
}

func readClientFrame(r *bufio.Reader) (string, error) {
	head := make([]byte, 2, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	size := int(head[1] & 0x7f)
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return "", err
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	b := make([]byte, 4+size)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return string(b[4:]), nil
}

func (f *faulty) handle(p *peer, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(text, "40") {
		return f.connect(p, text[2:])
	}
	var args []string
	if err := json.Unmarshal([]byte(text[strings.IndexByte(text, '['):]), &args); err != nil {
		return err
	}
	switch args[0] {
	case "join":
		p.room = args[1]
		f.rooms[args[1]] = append(f.rooms[args[1]], p)
		_, err := p.conn.Write(serverFrame(1, `431[]`))
		return err
	case "say":
		msg := `42["msg","` + args[2] + `"]`
		if f.recovers {
			msg = fmt.Sprintf(`42["msg","%s","%d"]`, args[2], len(f.said[args[1]]))
			f.said[args[1]] = append(f.said[args[1]], msg)
		}
		frame := serverFrame(1, msg)
		for _, to := range f.rooms[args[1]] {
			to.count++
			f.deliver(to.count,
				func() { _, _ = to.conn.Write(append(frame, to.held...)); to.held = nil },
				func() { to.held = append(to.held, frame...) })
		}
	}
	return nil
}

// connect answers a CONNECT, as the JavaScript server does: what was missed
// comes before the answer, in which the session has the id it had.
func (f *faulty) connect(p *peer, payload string) error {
	if !f.recovers {
		_, err := p.conn.Write(serverFrame(1, `40{"sid":"y"}`))
		return err
	}
	var auth struct{ Pid, Offset string }
	if payload != "" {
		if err := json.Unmarshal([]byte(payload), &auth); err != nil {
			return err
		}
	}
	if was := f.left[auth.Pid]; was != nil {
		p.pid, p.room = was.pid, was.room
		f.rooms[p.room] = append(slices.DeleteFunc(f.rooms[p.room], func(o *peer) bool { return o == was }), p)
		next := 0
		if auth.Offset != "" {
			at, err := strconv.Atoi(auth.Offset)
			if err != nil {
				return err
			}
			next = at + 1
		}
		for _, msg := range f.said[p.room][next:] {
			if _, err := p.conn.Write(serverFrame(1, msg)); err != nil {
				return err
			}
		}
	} else {
		f.sessions++
		p.pid = fmt.Sprint("session", f.sessions)
	}
	f.left[p.pid] = p
	_, err := p.conn.Write(serverFrame(1, `40{"sid":"y","pid":"`+p.pid+`"}`))
	return err
}

// run puts a paced load on the server: 400 deliveries in rooms of a size.
func (f *faulty) run(t *testing.T, room int) (*loadgen.Report, error) {
	t.Helper()
	return loadgen.Run(t.Context(), loadgen.Config{
		Addrs: []string{f.start(t)}, Mode: loadgen.Rooms, Conns: 4, Room: room, Rate: 2000,
		Duration: 200 * time.Millisecond, Drain: time.Second,
	})
}

func TestFaultsAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name                            string
		deliver                         func(n int, send, hold func())
		missing, misordered, duplicated uint64
	}{
		{"none", func(_ int, send, _ func()) { send() }, 0, 0, 0},
		{"missing", func(n int, send, _ func()) {
			if n != 50 && n != 60 {
				send()
			}
		}, 8, 0, 0},
		{"duplicated", func(n int, send, _ func()) {
			if send(); n == 50 || n == 51 || n == 52 {
				send()
			}
		}, 0, 0, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := (&faulty{deliver: tt.deliver}).run(t, 4)
			if err != nil {
				t.Fatal(err)
			}
			l := r.Load
			if l.Expected != 400 || l.Missing != tt.missing || l.Misordered != tt.misordered || l.Duplicated != tt.duplicated {
				t.Errorf("missing %d of %d, misordered %d, duplicated %d", l.Missing, l.Expected, l.Misordered, l.Duplicated)
			}
		})
	}
}

// TestMisordersAreCounted lets the tenth message of each sender, which is
// alone in its room, come after its eleventh.
func TestMisordersAreCounted(t *testing.T) {
	r, err := (&faulty{deliver: func(n int, send, hold func()) {
		if n == 10 {
			hold()
		} else {
			send()
		}
	}}).run(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Load; l.Expected != 400 || l.Missing != 0 || l.Misordered != 4 || l.Duplicated != 0 {
		t.Errorf("missing %d of %d, misordered %d, duplicated %d", l.Missing, l.Expected, l.Misordered, l.Duplicated)
	}
}

func TestLostConnectionsAreCounted(t *testing.T) {
	f := &faulty{}
	f.deliver = func(n int, send, _ func()) {
		if send(); n == 10 {
			for _, members := range f.rooms {
				_, _ = members[0].conn.Write(serverFrame(8, "\x03\xe9bye"))
				members[0].conn.Close()
			}
		}
	}
	r, err := f.run(t, 4)
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost != 1 || !strings.Contains(r.LostWhy, "1001") || r.Load.Misordered != 0 || r.Load.Duplicated != 0 {
		t.Errorf("lost %d (%s), load %+v", r.Lost, r.LostWhy, r.Load)
	}
}

// TestMissedSends holds the server's reading up, so that the sockets fill.
func TestMissedSends(t *testing.T) {
	release := make(chan struct{})
	f := &faulty{deliver: func(int, func(), func()) { <-release }}
	addr := f.start(t)
	defer close(release)
	r, err := loadgen.Run(t.Context(), loadgen.Config{
		Addrs: []string{addr}, Mode: loadgen.Rooms, Conns: 2, Room: 2, Rate: 2000,
		Payload: loadgen.MaxPayload, Duration: 2 * time.Second, Drain: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := r.Load
	if l.Missed == 0 || l.Missing == 0 || l.Sent+l.Missed < 1900 || l.Sent+l.Missed > 2100 {
		t.Errorf("sent %d, missed %d, missing %d of %d", l.Sent, l.Missed, l.Missing, l.Expected)
	}
}
