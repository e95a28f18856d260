package redistest

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TCPProxy stands between clients and a server, and can lose what passes. Its
// methods may be called concurrently.
type TCPProxy struct {
	listener net.Listener
	target   string
	hole     atomic.Bool
	refuse   atomic.Bool
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// Proxy starts a proxy to addr, host:port, on a port of its own.
func Proxy(tb testing.TB, addr string) *TCPProxy {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &TCPProxy{listener: l, target: addr, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Addr returns where the proxy listens, host:port.
func (p *TCPProxy) Addr() string { return p.listener.Addr().String() }

// Blackhole has the connections that exist, and while on those to come, stay
// open and lose every byte in both directions. Connections that lost bytes are
// of no use any more: off, they stay silent, while new ones work.
func (p *TCPProxy) Blackhole(on bool) { p.hole.Store(on) }

// Refuse has the proxy close new connections at once.
func (p *TCPProxy) Refuse(on bool) { p.refuse.Store(on) }

// Cut closes all connections.
func (p *TCPProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *TCPProxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() || !p.keep(in) {
			_ = in.Close()
			continue
		}
		d := net.Dialer{Timeout: 5 * time.Second}
		out, err := d.DialContext(context.Background(), "tcp", p.target)
		if err != nil || !p.keep(out) {
			p.drop(in)
			continue
		}
		lost := new(atomic.Bool)
		p.wg.Go(func() { p.pump(out, in, lost) })
		p.wg.Go(func() { p.pump(in, out, lost) })
	}
}

// pump copies from one connection to the other until either ends.
func (p *TCPProxy) pump(to, from net.Conn, lost *atomic.Bool) {
	defer p.drop(to)
	defer p.drop(from)
	_, _ = io.Copy(valve{to, p, lost}, from) // ends with the connections
}

func (p *TCPProxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *TCPProxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

// valve is a way through the proxy. It stays shut once it lost something.
type valve struct {
	io.Writer
	proxy *TCPProxy
	lost  *atomic.Bool
}

func (v valve) Write(b []byte) (int, error) {
	if v.proxy.hole.Load() {
		v.lost.Store(true)
	}
	if v.lost.Load() {
		return len(b), nil
	}
	return v.Writer.Write(b)
}
