package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// patience bounds every wait of these tests. What is waited for comes within
// milliseconds; a busy machine may take longer.
const patience = 20 * time.Second

// peer is a client that shows what is on the wire: a WebSocket connection, and
// what the server sends on it, by namespace and in order.
type peer struct {
	t     testing.TB
	ws    *wsconn.Client
	hello eio.Handshake
	cfg   peerConfig
	pings atomic.Int32 // that came

	mu      sync.Mutex
	queues  map[string]chan sio.Packet
	over    chan struct{} // closed by end: nobody takes from the queues
	end     func()
	stopped chan struct{} // closed when reading has ended
	err     error         // why, valid then
}

type peerOption func(*peerConfig)

type peerConfig struct {
	query  string
	header http.Header
	deaf   bool
	stuck  bool
	ignore string
}

func withQuery(q string) peerOption { return func(c *peerConfig) { c.query = "&" + q } }

func withHeader(name, value string) peerOption {
	return func(c *peerConfig) { c.header.Set(name, value) }
}

// deaf peers answer no pings.
func deaf(c *peerConfig) { c.deaf = true }

// ignoring lets events of this name go unnoticed.
func ignoring(event string) peerOption { return func(c *peerConfig) { c.ignore = event } }

// stuck peers read nothing after the handshake.
func stuck(c *peerConfig) { c.stuck = true }

// dial connects a peer, to no namespace yet.
func dial(t testing.TB, url string, opts ...peerOption) *peer {
	t.Helper()
	cfg := peerConfig{header: http.Header{}}
	for _, o := range opts {
		o(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url = "ws" + strings.TrimPrefix(url, "http") + "/socket.io/?EIO=4&transport=websocket" + cfg.query
	ws, err := wsconn.Dial(ctx, url, wsconn.DialOptions{Header: cfg.header})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	p := &peer{t: t, ws: ws, cfg: cfg, queues: map[string]chan sio.Packet{},
		over: make(chan struct{}), stopped: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.over) })
	if err := p.handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if cfg.stuck {
		close(p.stopped)
	} else {
		go p.read()
	}
	t.Cleanup(p.cut)
	return p
}

func (p *peer) handshake() error {
	data, _, err := p.ws.ReadMessage()
	if err != nil {
		return err
	}
	packet, err := eio.DecodeText(data)
	if err != nil {
		return err
	}
	p.hello, err = eio.ParseHandshake(packet.Data)
	return err
}

// cut ends the connection without a word.
func (p *peer) cut() {
	p.end()
	_ = p.ws.Close()
	<-p.stopped
}

func (p *peer) read() {
	defer close(p.stopped)
	var dec sio.Decoder
	for {
		data, binary, err := p.ws.ReadMessage()
		if err == nil {
			err = p.take(&dec, data, binary)
		}
		if err != nil {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
			return
		}
	}
}

func (p *peer) take(dec *sio.Decoder, data []byte, binary bool) error {
	var packet sio.Packet
	var ok bool
	var err error
	if binary {
		packet, ok, err = dec.Binary(data)
	} else {
		var e eio.Packet
		if e, err = eio.DecodeText(data); err != nil {
			return err
		}
		switch e.Type {
		case eio.Ping:
			p.pings.Add(1)
			if !p.cfg.deaf { // a write may have to wait, reading may not
				go p.raw("3")
			}
			return nil
		case eio.Message:
			packet, ok, err = dec.Text(e.Data)
		default:
			return fmt.Errorf("unexpected Engine.IO packet %q", data)
		}
	}
	if err == nil && ok && !p.ignores(packet) {
		q := p.queue(packet.Namespace)
		select {
		case q <- packet:
		default: // full: nobody takes anything any more, or will later
			select {
			case q <- packet:
			case <-p.over:
			}
		}
	}
	return err
}

func (p *peer) ignores(packet sio.Packet) bool {
	name, err := packet.Event()
	return packet.Type == sio.Event && err == nil && name == p.cfg.ignore && name != ""
}

func (p *peer) queue(nsp string) chan sio.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queues[nsp]
	if q == nil {
		q = make(chan sio.Packet, 1<<14)
		p.queues[nsp] = q
	}
	return q
}

// raw sends a text message as it is. Errors are what the server does to
// connections it does not like.
func (p *peer) raw(text string) { _ = p.ws.WriteMessage([]byte(text), false) }

func (p *peer) send(packet sio.Packet) {
	p.ws.Append(packet.AppendText([]byte("4")), false)
	for _, a := range packet.Attachments {
		p.ws.Append(a, true)
	}
	_ = p.ws.Flush()
}

// waitClosed waits until the server has closed the connection. What comes until
// then and finds no room is forgotten.
func (p *peer) waitClosed() {
	p.t.Helper()
	p.end()
	select {
	case <-p.stopped:
	case <-time.After(patience):
		p.t.Fatal("the server did not close the connection")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !errors.Is(p.err, net.ErrClosed) && !strings.Contains(fmt.Sprint(p.err), "EOF") {
		p.t.Fatalf("connection ended by %v", p.err)
	}
}

// tryJoin asks to join a namespace and returns the answer.
func (p *peer) tryJoin(nsp string, auth any) sio.Packet {
	p.t.Helper()
	packet := sio.Packet{Type: sio.Connect, Namespace: nsp}
	if auth != nil {
		packet.Data = mustJSON(p.t, auth)
	}
	p.send(packet)
	for {
		answer := p.packet(nsp)
		if answer.Type == sio.Connect || answer.Type == sio.ConnectError {
			return answer
		}
	}
}

// join joins a namespace, which must work.
func (p *peer) join(nsp string, auth ...any) *member {
	p.t.Helper()
	var a any
	if len(auth) > 0 {
		a = auth[0]
	}
	answer := p.tryJoin(nsp, a)
	if answer.Type != sio.Connect {
		p.t.Fatalf("joining %s: %s", nsp, answer.Data)
	}
	var body struct{ SID string }
	if err := json.Unmarshal(answer.Data, &body); err != nil {
		p.t.Fatal(err)
	}
	return &member{peer: p, nsp: nsp, id: body.SID}
}

// refused returns with what a namespace refuses the peer.
func (p *peer) refused(nsp string, auth any) string {
	p.t.Helper()
	answer := p.tryJoin(nsp, auth)
	if answer.Type != sio.ConnectError {
		p.t.Fatalf("joining %s worked", nsp)
	}
	return string(answer.Data)
}

// packet returns the next packet of a namespace.
func (p *peer) packet(nsp string) sio.Packet {
	p.t.Helper()
	q := p.queue(nsp)
	select {
	case packet := <-q:
		return packet
	default:
	}
	select {
	case packet := <-q:
		return packet
	case <-time.After(patience):
		p.t.Fatalf("nothing came in %s", nsp)
	case <-p.stopped:
		select {
		case packet := <-q:
			return packet
		default:
		}
		p.t.Fatalf("nothing came in %s before the connection ended: %v", nsp, p.err)
	}
	panic("unreachable")
}

// member is a peer in a namespace.
type member struct {
	*peer
	nsp, id string
	acks    uint64
}

// client connects a peer and joins a namespace.
func client(t testing.TB, n *node, nsp string, auth ...any) *member {
	t.Helper()
	return dial(t, n.url).join(nsp, auth...)
}

func (m *member) emit(event string, args ...any) {
	m.t.Helper()
	m.send(m.event(event, args))
}

func (m *member) event(event string, args []any) sio.Packet {
	m.t.Helper()
	data, attachments, err := sio.Encode(append([]any{event}, args...)...)
	if err != nil {
		m.t.Fatal(err)
	}
	return sio.Packet{Type: sio.Event, Namespace: m.nsp, Data: data, Attachments: attachments}
}

// ask emits an event that wants an acknowledgement, and returns its arguments.
func (m *member) ask(event string, args ...any) []any {
	m.t.Helper()
	packet := m.event(event, args)
	m.acks++
	packet.ID, packet.HasID = m.acks, true
	m.send(packet)
	answer := m.packet(m.nsp)
	if answer.Type != sio.Ack || answer.ID != m.acks {
		m.t.Fatalf("got %s instead of acknowledgement %d", show(answer), m.acks)
	}
	return decode(m.t, answer)
}

// reply acknowledges an event.
func (m *member) reply(to sio.Packet, args ...any) {
	m.t.Helper()
	if !to.HasID {
		m.t.Fatalf("%s wants no acknowledgement", show(to))
	}
	data, attachments, err := sio.Encode(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.send(sio.Packet{Type: sio.Ack, Namespace: m.nsp, ID: to.ID, HasID: true, Data: data, Attachments: attachments})
}

// next returns the next packet of the namespace.
func (m *member) next() sio.Packet {
	m.t.Helper()
	return m.packet(m.nsp)
}

// expect waits for an event, which must be the next packet.
func (m *member) expect(event string, args ...any) sio.Packet {
	m.t.Helper()
	packet := m.next()
	if packet.Type != sio.Event {
		m.t.Fatalf("got %s instead of event %q", show(packet), event)
	}
	want := append([]any{event}, args...)
	if got := decode(m.t, packet); fmt.Sprint(got) != fmt.Sprint(normal(m.t, want)) {
		m.t.Fatalf("got %v, want %v", got, want)
	}
	return packet
}

// left waits for the DISCONNECT packet of the namespace.
func (m *member) left() {
	m.t.Helper()
	if packet := m.next(); packet.Type != sio.Disconnect {
		m.t.Fatalf("got %s instead of a DISCONNECT", show(packet))
	}
}

func (m *member) leaveNamespace() { m.send(sio.Packet{Type: sio.Disconnect, Namespace: m.nsp}) }

func show(p sio.Packet) string { return fmt.Sprintf("%q (type %d)", p.AppendText(nil), p.Type) }

// decode returns a packet's data, with attachments in their places.
func decode(t testing.TB, p sio.Packet) []any {
	t.Helper()
	raw, err := sio.Args(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	args := make([]any, len(raw))
	for i := range raw {
		if err := sio.DecodeArg(raw[i], p.Attachments, &args[i]); err != nil {
			t.Fatal(err)
		}
	}
	return args
}

// normal is what becomes of args on their way over the wire.
func normal(t testing.TB, args []any) []any {
	t.Helper()
	data, attachments, err := sio.Encode(args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, sio.Packet{Data: data, Attachments: attachments})
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
