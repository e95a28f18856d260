// Package hostile_test attacks a server over TCP, and looks at what is left of
// it after each attack: a client that behaves is served all the time, no
// goroutine stays, and no memory.
package hostile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/socket.io/?EIO=4&transport="

// target is a server under attack.
type target struct {
	*socketeer.Server
	t          *testing.T
	addr       string
	calm       *victim // the client that behaves
	ended      chan string
	over       atomic.Bool // the calm client may leave
	goroutines int
	heap       uint64
}

// start starts a server, and its calm client.
func start(t *testing.T, opts ...socketeer.Option) *target {
	t.Helper()
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &target{Server: io, t: t, ended: make(chan string, 10_000)}
	io.OnConnect(func(_ context.Context, sock *socketeer.Socket) error {
		calm := sock.Handshake().Query.Get("calm") != ""
		sock.OnDisconnect(func(_ context.Context, reason string) {
			if calm {
				if s.over.Load() {
					return
				}
				t.Errorf("the calm client was disconnected: %s", reason)
				return
			}
			s.ended <- reason
		})
		return nil
	})
	io.On("echo", func(_ context.Context, m *socketeer.Message) error {
		args := make([]any, m.NumArgs())
		for i := range args {
			args[i] = m.Raw(i)
		}
		return m.Ack(args...)
	})
	io.On("panic", func(context.Context, *socketeer.Message) error { panic("on purpose") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 300 * time.Millisecond, MaxHeaderBytes: 16 << 10}
	var serving sync.WaitGroup
	serving.Go(func() { _ = h.Serve(l) })
	t.Cleanup(func() {
		_ = io.Close()
		_ = h.Close()
		serving.Wait()
	})
	s.calm = s.join(t, "&calm=1")
	t.Cleanup(func() {
		s.over.Store(true)
		s.calm.leave()
	})
	s.calm.echo(t)
	s.goroutines = len(running())
	s.heap = heap()
	return s
}

// victim is the calm client: it reads and answers all the time.
type victim struct {
	c       *peer.Conn
	acks    chan string
	done    chan struct{}
	leaving chan struct{}
	write   sync.Mutex
	n       int
}

// join connects a client that behaves.
func (s *target) join(t *testing.T, query string) *victim {
	t.Helper()
	c := s.joined(t, query)
	v := &victim{c: c, acks: make(chan string, 100), done: make(chan struct{}), leaving: make(chan struct{})}
	go func() {
		defer close(v.done)
		for {
			first, payload, err := c.ReadFrame()
			var timeout net.Error
			switch {
			case err != nil:
				select {
				case <-v.leaving:
				default:
					if ok := asTimeout(err, &timeout); !ok {
						t.Errorf("the calm client lost its connection: %v", err)
					}
				}
				if asTimeout(err, &timeout) {
					continue
				}
				return
			case first == peer.Fin|peer.Text && payload == "2":
				v.write.Lock()
				_ = c.Send(peer.Frame(peer.Fin|peer.Text, "3"))
				v.write.Unlock()
			case strings.HasPrefix(payload, "43"):
				v.acks <- payload
			}
		}
	}()
	return v
}

func asTimeout(err error, to *net.Error) bool {
	return errors.As(err, to) && (*to).Timeout()
}

// echo has an event acknowledged.
func (v *victim) echo(t *testing.T) {
	t.Helper()
	v.n++
	v.write.Lock()
	_ = v.c.Send(peer.Frame(peer.Fin|peer.Text, fmt.Sprintf(`42%d["echo","hello",%d]`, v.n, v.n)))
	v.write.Unlock()
	want := fmt.Sprintf(`43%d["hello",%d]`, v.n, v.n)
	select {
	case got := <-v.acks:
		if got != want {
			t.Errorf("the calm client got %q, want %q", got, want)
		}
	case <-time.After(peer.Patience):
		t.Fatal("the calm client got no answer")
	}
}

func (v *victim) leave() {
	close(v.leaving)
	_ = v.c.Close()
	<-v.done
}

// attack runs an attack and sees that the server is as before.
func (s *target) attack(name string, f func(t *testing.T)) {
	s.t.Helper()
	s.t.Run(name, f) // its connections are closed when it has returned
	s.unharmed(name)
}

// slack is how much more memory may be in use after an attack than before:
// pools, buffers of the runtime, and what the test itself holds.
const slack = 4 << 20

// unharmed checks that all is as before the attack.
func (s *target) unharmed(name string) {
	s.t.Helper()
	s.calm.echo(s.t)
	eventually(s.t, name+": sessions stay", func() bool { return s.Engine().Count() == 1 })
	eventually(s.t, name+": sockets stay", func() bool { return s.Len() == 1 })
	eventually(s.t, name+": goroutines stay", func() bool { return len(running()) <= s.goroutines })
	var now uint64
	eventually(s.t, name+": memory stays", func() bool { now = heap(); return now <= s.heap+slack })
	if now > s.heap+slack {
		s.t.Errorf("%d bytes, %d before", now, s.heap)
	}
	if s.t.Failed() {
		s.t.Logf("%d goroutines, %d before: %s", len(running()), s.goroutines, strings.Join(running(), "\n\n"))
		s.t.FailNow()
	}
}

// running returns the stacks of all goroutines but those that the server keeps
// for handlers.
func running() (stacks []string) {
	buf := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(g, "socketeer.(*pool).work(") && !strings.Contains(g, "socketeer.(*pool).watch(") {
			stacks = append(stacks, g)
		}
	}
	return stacks
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // and what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// peak watches how much memory is in use while f runs.
func peak(f func()) (grown int64) {
	before := heap()
	done := make(chan struct{})
	var top uint64
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	f()
	close(done)
	watching.Wait()
	return int64(top) - int64(before)
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(peer.Patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Errorf("after %s", what)
			return
		}
	}
}

// open connects by WebSocket, and joins nothing.
func (s *target) open(t *testing.T, query string, header ...string) *peer.Conn {
	t.Helper()
	c := peer.Dial(t, s.addr)
	if r, body := c.Upgrade(path+"websocket"+query, header...); r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %d %q", r.StatusCode, body)
	}
	if m := c.Message(); !strings.HasPrefix(m, "0{") {
		t.Fatalf("handshake %q", m)
	}
	return c
}

// joined connects by WebSocket and joins "/".
func (s *target) joined(t *testing.T, query string, header ...string) *peer.Conn {
	t.Helper()
	c := s.open(t, query, header...)
	c.Text("40")
	if m := c.Message(); !strings.HasPrefix(m, "40{") {
		t.Fatalf("CONNECT answered by %q", m)
	}
	return c
}

// polls is a session on polling.
type polls struct {
	t      *testing.T
	client *http.Client
	base   string
	sid    string
}

// openPolling connects by polling, and joins nothing.
func (s *target) openPolling(t *testing.T) *polls {
	t.Helper()
	p := &polls{t: t, base: "http://" + s.addr + path + "polling", client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: peer.Patience}}
	status, body := p.do("GET", "")
	var h struct{ SID string }
	if status != 200 || json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &h) != nil {
		t.Fatalf("handshake: %d %q", status, body)
	}
	p.sid = h.SID
	return p
}

func (s *target) joinedPolling(t *testing.T) *polls {
	t.Helper()
	p := s.openPolling(t)
	p.do("POST", "40")
	if _, body := p.do("GET", ""); !strings.HasPrefix(body, "40{") {
		t.Fatalf("CONNECT answered by %q", body)
	}
	return p
}

func (p *polls) do(method, body string, header ...string) (int, string) {
	p.t.Helper()
	url := p.base
	if p.sid != "" {
		url += "&sid=" + p.sid
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Errorf("%s: %v", method, err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// closed polls until the session is over, as it must be soon.
func (p *polls) closed() {
	p.t.Helper()
	for range 5 {
		status, body := p.do("GET", "")
		if status == 400 && body == `{"code":1,"message":"Session ID unknown"}` || status == 200 && lastPacket(body) == "1" {
			return
		}
		if status != 200 {
			p.t.Fatalf("poll: %d %q", status, body)
		}
	}
	p.t.Error("the session goes on")
}

func lastPacket(payload string) string {
	packets := strings.Split(payload, "\x1e")
	return packets[len(packets)-1]
}

// endsAs waits for a socket's disconnect reason.
func (s *target) endsAs(t *testing.T, reasons ...string) {
	t.Helper()
	select {
	case got := <-s.ended:
		if !slices.Contains(reasons, got) {
			t.Errorf("disconnected as %q, want %q", got, reasons)
		}
	case <-time.After(peer.Patience):
		t.Error("no disconnect")
	}
}
