package e2e_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// moment bounds what should happen at once.
const moment = 5 * time.Second

// peer speaks to one node in bytes, as no well-behaved client would.
type peer struct {
	t    *testing.T
	kind string // of the node: "socketeer" or "oracle"
	url  string // http://host:port
}

func (p peer) addr() string { return strings.TrimPrefix(p.url, "http://") }

// at is the address of the endpoint with the given query, after EIO=4.
func (p peer) at(query string) string { return "/socket.io/?EIO=4&" + query }

// reply is a whole HTTP response.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

// do sends a request and returns its response.
func (p peer) do(ctx context.Context, method, path, body string, header ...string) reply {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(data), err: err}
}

func (p peer) get(path string, header ...string) reply {
	p.t.Helper()
	r := p.do(p.t.Context(), http.MethodGet, path, "", header...)
	if r.err != nil {
		p.t.Fatalf("GET %s: %v", path, r.err)
	}
	return r
}

func (p peer) post(path, body string, header ...string) reply {
	p.t.Helper()
	r := p.do(p.t.Context(), http.MethodPost, path, body, header...)
	if r.err != nil {
		p.t.Fatalf("POST %s: %v", path, r.err)
	}
	return r
}

// later sends a GET and returns where its response will be. The request is
// about to leave when later returns, and may still be overtaken.
func (p peer) later(path string) <-chan reply {
	c := make(chan reply, 1)
	sent := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }}
	go func() { c <- p.do(httptrace.WithClientTrace(p.t.Context(), trace), http.MethodGet, path, "") }()
	select {
	case <-sent:
	case r := <-c:
		c <- r
	}
	return c
}

// session is a polling session.
type session struct {
	peer
	sid string
}

type handshake struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func (p peer) parseOpen(text string) handshake {
	p.t.Helper()
	var h handshake
	if !strings.HasPrefix(text, "0{") {
		p.t.Fatalf("no open packet: %q", text)
	}
	if err := json.Unmarshal([]byte(text[1:]), &h); err != nil {
		p.t.Fatalf("open packet %q: %v", text, err)
	}
	return h
}

// open starts a polling session.
func (p peer) open() session {
	p.t.Helper()
	r := p.get(p.at("transport=polling"))
	if r.status != http.StatusOK {
		p.t.Fatalf("handshake: %d %q", r.status, r.body)
	}
	return session{peer: p, sid: p.parseOpen(r.body).SID}
}

// path is the address of the session's polling requests.
func (s session) path() string { return s.at("transport=polling&sid=" + s.sid) }

// poll returns the packets of the next GET.
func (s session) poll() []string {
	s.t.Helper()
	r := s.get(s.path())
	if r.status != http.StatusOK {
		s.t.Fatalf("poll: %d %q", r.status, r.body)
	}
	return strings.Split(r.body, "\x1e")
}

// send posts packets, joined into one payload.
func (s session) send(packets ...string) {
	s.t.Helper()
	r := s.post(s.path(), strings.Join(packets, "\x1e"))
	if r.status != http.StatusOK || r.body != "ok" {
		s.t.Fatalf("POST: %d %q", r.status, r.body)
	}
}

// pollUntil polls until a packet with the prefix has come, and returns it.
func (s session) pollUntil(prefix string) string {
	s.t.Helper()
	for range 50 {
		for _, packet := range s.poll() {
			if strings.HasPrefix(packet, prefix) {
				return packet
			}
		}
	}
	s.t.Fatalf("no packet %q in 50 polls", prefix)
	return ""
}

// join connects the session to the root namespace; it returns the socket's
// id. The echo comes after the welcome event, so nothing is left to poll.
func (s session) join() string {
	s.t.Helper()
	s.send("40")
	id := socketID(s.t, s.pollUntil("40{"))
	s.send(`4299["echo-ack","joined"]`)
	s.pollUntil(`4399["joined"]`)
	return id
}

// gone checks that the session is no more.
func (s session) gone() {
	s.t.Helper()
	var r reply
	eventually(s.t, "the session to be closed", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), moment)
		defer cancel()
		r = s.do(ctx, http.MethodPost, s.path(), "3")
		return r.err == nil && r.status == http.StatusBadRequest
	})
	if !strings.Contains(r.body, `"code":1`) {
		s.t.Fatalf("a request of a closed session: %d %q", r.status, r.body)
	}
}

func socketID(t *testing.T, packet string) string {
	t.Helper()
	var v struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal([]byte(packet[strings.IndexByte(packet, '{'):]), &v); err != nil || v.SID == "" {
		t.Fatalf("CONNECT packet %q: %v", packet, err)
	}
	return v.SID
}

// Opcodes of WebSocket frames.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// frames is a raw WebSocket connection.
type frames struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial asks for a WebSocket; it returns the connection (nil when refused) and
// the response.
func (p peer) dial(path string, header ...string) (*frames, reply) {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() }) // often closed by then
	key := make([]byte, 16)
	rand.Read(key)
	lines := []string{
		"GET " + path + " HTTP/1.1", "Host: " + p.addr(), "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.StdEncoding.EncodeToString(key),
	}
	for i := 0; i < len(header); i += 2 {
		lines = append(lines, header[i]+": "+header[i+1])
	}
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		p.t.Fatal(err)
	}
	f := &frames{t: p.t, Conn: c, r: bufio.NewReader(c)}
	f.deadline()
	res, err := http.ReadResponse(f.r, nil)
	if err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return f, reply{status: res.StatusCode, header: res.Header}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return nil, reply{status: res.StatusCode, header: res.Header, body: string(data), err: err}
}

// openWS starts a WebSocket session.
func (p peer) openWS() (*frames, handshake) {
	p.t.Helper()
	f, r := p.dial(p.at("transport=websocket"))
	if f == nil {
		p.t.Fatalf("refused: %d %q", r.status, r.body)
	}
	return f, p.parseOpen(f.next())
}

// joinWS starts a WebSocket session connected to the root namespace.
func (p peer) joinWS() (f *frames, id string) {
	p.t.Helper()
	f, _ = p.openWS()
	f.text("40")
	id = socketID(p.t, f.until("40{"))
	f.until(`42["welcome"`)
	return f, id
}

// reason returns why the socket of the given id was disconnected.
func (p peer) reason(id string) string {
	p.t.Helper()
	f, _ := p.joinWS()
	defer f.Close()
	f.text(fmt.Sprintf(`421["reason-of",%q]`, id))
	var v []struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(f.until("431")[3:]), &v); err != nil || len(v) != 1 {
		p.t.Fatalf("reason of %s: %v", id, err)
	}
	return v[0].Reason
}

// alive checks that the node serves others.
func (p peer) alive() {
	p.t.Helper()
	f, _ := p.joinWS()
	defer f.Close()
	f.text(`427["echo-ack","alive"]`)
	f.until(`437["alive"]`)
}

func (f *frames) deadline() {
	if err := f.SetDeadline(time.Now().Add(moment)); err != nil {
		f.t.Fatal(err)
	}
}

// frame sends one masked frame, with FIN unless opcode has the bit 0x80.
func (f *frames) frame(opcode int, payload string) {
	f.t.Helper()
	first := byte(0x80 | opcode)
	if opcode&0x80 != 0 {
		first = byte(opcode &^ 0x80)
	}
	f.deadline()
	if _, err := f.Write(appendFrame(nil, first, payload, true)); err != nil {
		f.t.Fatalf("frame: %v", err)
	}
}

// more marks an opcode as a fragment that others follow.
const more = 0x80

func appendFrame(b []byte, first byte, payload string, masked bool) []byte {
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func (f *frames) text(s string)   { f.t.Helper(); f.frame(opText, s) }
func (f *frames) binary(s string) { f.t.Helper(); f.frame(opBinary, s) }

// read returns the next frame.
func (f *frames) read() (opcode int, payload string, err error) {
	f.deadline()
	var h [2]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, "", err
	}
	n := uint64(h[1] & 0x7f)
	size := map[uint64]int{126: 2, 127: 8}[n]
	if size > 0 {
		var ext [8]byte
		if _, err := io.ReadFull(f.r, ext[8-size:]); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(ext[:])
	}
	if h[1]&0x80 != 0 || n > 1<<24 {
		return 0, "", fmt.Errorf("a server's frame with header %x", h)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(f.r, data)
	return int(h[0]), string(data), err
}

// next returns the payload of the next frame, which must be a whole text.
func (f *frames) next() string {
	f.t.Helper()
	op, payload, err := f.read()
	if err != nil || op != 0x80|opText {
		f.t.Fatalf("no text frame: opcode %x, %q, %v", op, payload, err)
	}
	return payload
}

// until reads texts until one has the prefix, answering pings.
func (f *frames) until(prefix string) string {
	f.t.Helper()
	for {
		switch s := f.next(); {
		case strings.HasPrefix(s, prefix):
			return s
		case s == "2":
			f.text("3")
		}
	}
}

// closed reads until the connection ends, however it does; it returns the
// close code (1005 for none, 1006 for no close frame) and the texts before it.
func (f *frames) closed() (code int, texts []string) {
	f.t.Helper()
	for {
		op, payload, err := f.read()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			f.t.Fatalf("not closed; read %q", texts)
		case err != nil:
			return 1006, texts
		case op == 0x80|opClose && len(payload) < 2:
			return 1005, texts
		case op == 0x80|opClose:
			return int(binary.BigEndian.Uint16([]byte(payload))), texts
		default:
			texts = append(texts, payload)
		}
	}
}
