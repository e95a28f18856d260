package nats_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/nats"
)

// proxy stands between nodes and their NATS server. Connections that are cut
// stay open and take everything, but nothing comes back.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	cut   []*atomic.Bool
	mute  bool
	muted int // connections that nobody answers
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.hold(in) {
			continue
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		cut := new(atomic.Bool)
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.cut = append(p.cut, cut)
		p.mu.Unlock()
		p.wg.Go(func() { io.Copy(out, in); out.Close() })
		p.wg.Go(func() { io.Copy(valve{in, cut}, out); in.Close() })
	}
}

// hold keeps a connection that nobody is to answer.
func (p *proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		p.conns = append(p.conns, c)
		p.muted++
	}
	return p.mute
}

// hang ends all connections, and does not answer new ones.
func (p *proxy) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
	for _, c := range p.conns {
		c.Close()
	}
}

func (p *proxy) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.muted
}

type valve struct {
	io.Writer
	cut *atomic.Bool
}

func (v valve) Write(b []byte) (int, error) {
	if v.cut.Load() {
		return len(b), nil
	}
	return v.Writer.Write(b)
}

func (p *proxy) deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.cut {
		c.Store(true)
	}
}

func TestDeafConnectionIsReplaced(t *testing.T) {
	u, err := url.Parse(natsServer(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	o := nats.Options{URL: "nats://" + p.listener.Addr().String(), ProbeInterval: 50 * time.Millisecond}
	var all []*nats.Cluster
	for range 2 {
		all = append(all, node(t, o))
	}
	from, to := pair(t, all)
	p.deafen()
	eventually(t, "the node to notice", func() bool { return all[1].Ready() != nil })
	eventually(t, "the node to hear again", func() bool { return all[1].Ready() == nil && all[0].Ready() == nil })
	if s := all[1].Stats(); s.ProbeFailures == 0 || s.Reconnects == 0 {
		t.Errorf("%+v", s)
	}
	before := to.n.Load()
	eventually(t, "a message", func() bool {
		if err := from.Publish(toRoom([]byte(`["again"]`))); err != nil {
			t.Error(err)
		}
		return to.n.Load() > before
	})
}

// A server that takes connections and does not answer holds nobody up for longer
// than a connection may take, however long the node's start was allowed to take.
func TestHangingServerHoldsNobodyUp(t *testing.T) {
	u, err := url.Parse(natsServer(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	c := node(t, nats.Options{URL: "nats://" + p.listener.Addr().String()})
	a, err := c.Open(patient(t), "/", &counter{})
	if err != nil {
		t.Fatal(err)
	}
	p.hang()
	eventually(t, "the node to connect again", func() bool { return p.waiting() >= 2 }) // what sends, and what probes
	begin := time.Now()
	if err := a.Publish(toRoom([]byte(`["late"]`))); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %v to send", took)
	}
}

func TestLoneNodeHearsItself(t *testing.T) {
	c := node(t, nats.Options{ProbeInterval: 30 * time.Millisecond})
	eventually(t, "probes", func() bool { return c.Stats().Probes > 5 })
	if s := c.Stats(); s.ProbeFailures > 0 || c.Ready() != nil {
		t.Errorf("%+v", s)
	}
}
