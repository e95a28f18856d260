package nettest

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between clients and a server, and can lose what passes. Its
// methods may be called concurrently.
type Proxy struct {
	listener net.Listener
	target   string
	hole     atomic.Bool
	refuse   atomic.Bool
	taken    atomic.Int64 // connections
	dead     atomic.Int64 // of those, the first so many lose everything
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// StartProxy starts a proxy to addr, host:port, on a port of its own.
func StartProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, target: addr, conns: make(map[net.Conn]struct{})}
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
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Blackhole has the connections that exist, and while on those to come, stay
// open and lose every byte in both directions. Connections that lost bytes are
// of no use any more: off, they stay silent, while new ones work.
func (p *Proxy) Blackhole(on bool) { p.hole.Store(on) }

// Swallow has the connections that exist stay open and lose every byte in both
// directions for good. New ones work.
func (p *Proxy) Swallow() { p.dead.Store(p.taken.Load()) }

// Refuse has the proxy close new connections at once.
func (p *Proxy) Refuse(on bool) { p.refuse.Store(on) }

// Taken returns how many connections the proxy has taken so far.
func (p *Proxy) Taken() int { return int(p.taken.Load()) }

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() || !p.keep(in) {
			_ = in.Close()
			continue
		}
		number := p.taken.Add(1)
		d := net.Dialer{Timeout: 5 * time.Second}
		out, err := d.DialContext(context.Background(), "tcp", p.target)
		if err != nil || !p.keep(out) {
			p.drop(in)
			continue
		}
		w := &way{proxy: p, number: number}
		p.wg.Go(func() { w.pump(out, in) })
		p.wg.Go(func() { w.pump(in, out) })
	}
}

// way is a connection through the proxy. It stays shut once it lost something.
type way struct {
	proxy  *Proxy
	number int64
	lost   atomic.Bool
}

// pump copies from one end to the other until either ends.
func (w *way) pump(to, from net.Conn) {
	defer w.proxy.drop(to)
	defer w.proxy.drop(from)
	_, _ = io.Copy(valve{to, w}, from) // ends with the connections
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

// valve is one direction of a way.
type valve struct {
	io.Writer
	*way
}

func (v valve) Write(b []byte) (int, error) {
	if v.proxy.hole.Load() || v.number <= v.proxy.dead.Load() {
		v.lost.Store(true)
	}
	if v.lost.Load() {
		return len(b), nil
	}
	return v.Writer.Write(b)
}
