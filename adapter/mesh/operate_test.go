package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/internal/peertest"
	"github.com/socketeer-io/socketeer/adapter/mesh"
	"github.com/socketeer-io/socketeer/cluster"
)

func TestPeers(t *testing.T) {
	peertest.Run(t, peertest.Adapter{
		Start: func(ctx context.Context, o peertest.Options) (peertest.Node, error) {
			c, err := mesh.New(ctx, mesh.Options{
				Name: o.Name, ClusterName: o.ClusterName, ClusterAddr: o.ClusterAddr, Peers: o.Peers, Token: o.Token, TLS: o.TLS,
				MaxMessage: o.MaxMessage, HeartbeatTimeout: o.HeartbeatTimeout, LeaveDelay: 20 * time.Millisecond, Logger: o.Logger,
			})
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Says: peertest.Says{
			NoPeer: "no link to a node yet", Token: "another token", Cluster: "its cluster is", Plaintext: "was refused",
		},
	})
}

// A link that breaks is made again, and what the peer wants is known again.
func TestLinkBreaks(t *testing.T) {
	first := node(t, quick("first"))
	p := newProxy(t, first.ClusterAddr())
	o := quick("second")
	o.Peers, o.ClusterAdvertise = []string{p.addr}, peertest.FreeAddr(t) // nobody reaches it directly
	o.HeartbeatTimeout = peertest.Patience
	second := node(t, o)
	all := []*mesh.Cluster{first, second}
	know(t, all)
	from, to := peertest.Pair(t, all[0], all[1])
	for range 3 {
		p.cut()
		ctx := peertest.Patient(t)
		for arrived := false; !arrived; {
			if err := from.Publish(peertest.ToRoom([]byte("again"))); err != nil {
				t.Fatal(err)
			}
			select {
			case <-to:
				arrived = true
			case <-time.After(10 * time.Millisecond): // it was lost, as it may
			case <-ctx.Done():
				t.Fatal("the link was not made again")
			}
		}
		for len(to) > 0 {
			<-to
		}
	}
}

// Who has ended is dead long before its silence tells, whoever has connected to
// whom. Who cannot be reached where it says is not taken for ended.
func TestEndIsNoticed(t *testing.T) {
	adjust := func(o *mesh.Options) {
		o.HeartbeatInterval, o.HeartbeatTimeout = 100*time.Millisecond, 2*peertest.Patience
	}
	for i := range 3 {
		list := nodes(t, 3, adjust)
		kill(t, list[i])
		for _, c := range slices.Delete(list, i, i+1) {
			peertest.Eventually(t, "the end", func() bool { return c.Stats().Peers == 1 })
		}
	}
	o := quick("first")
	adjust(&o)
	first := node(t, o)
	p := newProxy(t, first.ClusterAddr())
	o.Name, o.Peers, o.ClusterAdvertise = "second", []string{p.addr}, peertest.FreeAddr(t)
	second := node(t, o)
	know(t, []*mesh.Cluster{first, second})
	died := make(chan cluster.Event, 1)
	first.Watch(func(e cluster.Event) {
		if e.Kind == cluster.Died {
			died <- e
		}
	})
	from, to := peertest.Pair(t, first, second)
	p.cut()
	peertest.Eventually(t, "a message", func() bool {
		if err := from.Publish(peertest.ToRoom([]byte("again"))); err != nil {
			t.Fatal(err)
		}
		return len(to) > 0
	})
	if len(died) > 0 {
		t.Errorf("taken for dead: %+v", <-died)
	}
}

// A peer that does not keep up loses messages, which are counted, and nothing
// else: those that arrive are in order.
func TestSlowPeer(t *testing.T) {
	first := node(t, mesh.Options{MaxMessage: 64 << 10, SendBytes: 128 << 10, HeartbeatTimeout: peertest.Patience})
	p := newProxy(t, first.ClusterAddr())
	all := []*mesh.Cluster{first, node(t, mesh.Options{Peers: []string{p.addr}, HeartbeatTimeout: peertest.Patience})}
	know(t, all)
	from, to := peertest.Pair(t, all[0], all[1])
	p.stall.Lock()
	sent := uint32(0)
	publish := func() {
		b := make([]byte, 32<<10)
		binary.BigEndian.PutUint32(b, sent)
		sent++
		if err := from.Publish(peertest.ToRoom(b)); err != nil {
			t.Fatal(err)
		}
	}
	peertest.Eventually(t, "the overflow", func() bool { publish(); return first.Stats().Drops.Bus > 0 })
	p.stall.Unlock()
	last := int64(-1)
	for ctx := peertest.Patient(t); last < int64(sent)-1; {
		select {
		case m := <-to:
			got := int64(binary.BigEndian.Uint32(m.Data))
			if got <= last {
				t.Fatalf("%d after %d", got, last)
			}
			last = got
		case <-time.After(10 * time.Millisecond):
			publish() // the last one may have been dropped
		case <-ctx.Done():
			t.Fatal("nothing arrives any more")
		}
	}
}

func TestSilentPeer(t *testing.T) {
	var log peertest.Log
	first := node(t, mesh.Options{Silence: 300 * time.Millisecond, HeartbeatTimeout: peertest.Patience, Logger: log.Logger()})
	p := newProxy(t, first.ClusterAddr())
	second := node(t, mesh.Options{Peers: []string{p.addr}, Silence: 300 * time.Millisecond, HeartbeatTimeout: peertest.Patience})
	all := []*mesh.Cluster{first, second}
	know(t, all)
	p.stall.Lock()
	peertest.Eventually(t, "the end of the link", func() bool { return log.Count("the peer is silent") > 0 })
	p.stall.Unlock()
	p.cut()
	from, to := peertest.Pair(t, all[0], all[1])
	if err := from.Publish(peertest.ToRoom([]byte("m"))); err != nil {
		t.Fatal(err)
	}
	to.Next(t)
}

// proxy passes connections on.
type proxy struct {
	addr  string
	stall sync.RWMutex // locked: nothing passes
	mu    sync.Mutex
	open  []net.Conn
}

// stalling lets what passes wait while the proxy is stalled.
type stalling struct {
	net.Conn
	p *proxy
}

func (s stalling) Write(b []byte) (int, error) {
	s.p.stall.RLock()
	defer s.p.stall.RUnlock()
	return s.Conn.Write(b)
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, in, out)
			p.mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(stalling{way[0], p}, struct{ io.Reader }{way[1]})
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, nc := range p.open {
		nc.Close()
	}
	p.open = nil
}

// Whoever talks nonsense to the cluster address is sent away.
func TestNonsense(t *testing.T) {
	c := node(t, quick("n"))
	for name, b := range map[string][]byte{
		"HTTP":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"large":      append(binary.BigEndian.AppendUint32(nil, 1<<30), 6, 0),
		"empty":      make([]byte, 100),
		"no hello":   {0, 0, 0, 1, 7},
		"bad hello":  {0, 0, 0, 2, 6, 0xff},
		"data first": {0, 0, 0, 2, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", c.ClusterAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
			nc.SetReadDeadline(time.Now().Add(peertest.Patience))
			if n, err := nc.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %d bytes, %v", n, err)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	peertest.Refuses(t, mesh.New, map[string]mesh.Options{
		"address":      {ClusterAddr: "nonsense"},
		"peer":         {Peers: []string{"nonsense"}},
		"long address": {Peers: []string{strings.Repeat("h", 600) + ":1"}},
		"long name":    {ClusterName: strings.Repeat("n", 300)},
		"message":      {MaxMessage: 100},
		"queue":        {SendBytes: 2000, MaxMessage: 4000},
	})
}
