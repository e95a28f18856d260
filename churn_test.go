package socketeer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
)

// churner is what a server for churning does, and counts.
type churner struct {
	connected, disconnected atomic.Int64
}

func (c *churner) register(n *node) {
	d := n.OfPattern(regexp.MustCompile(`/dyn-\d`))
	d.UseConnect(guard(c.admit))
	d.OnConnect(c.onConnect)
	d.On("join", c.join)
	n.UseConnect(guard(c.admit))
	n.OnConnect(c.onConnect)
	n.On("join", c.join)
	n.On("kick", func(_ context.Context, m *msg) error { m.Socket().Disconnect(true); return nil })
	n.On("ask", func(ctx context.Context, m *msg) error {
		_, err := m.Socket().EmitWithAck(ctx, "never answered")
		return err
	})
}

func (c *churner) admit(ctx context.Context, s *sock) error {
	var auth struct{ Refuse bool }
	if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil || auth.Refuse {
		return &socketeer.Error{Message: "no"}
	}
	return s.SetUser(ctx, fmt.Sprint(rand.IntN(20)))
}

func (c *churner) onConnect(_ context.Context, s *sock) error {
	c.connected.Add(1)
	s.OnDisconnect(func(context.Context, string) { c.disconnected.Add(1) })
	return nil
}

func (c *churner) join(ctx context.Context, m *msg) error {
	var rooms []string
	if err := m.Decode(&rooms); err != nil {
		return err
	}
	if err := m.Socket().Join(ctx, rooms...); err != nil {
		return err
	}
	m.Socket().Leave(rooms[0])
	return m.Ack(len(m.Socket().Rooms()))
}

// cycle is one client's life, which ends in one of many ways.
func (c *churner) cycle(t *testing.T, n *node, r *rand.Rand) {
	p := dial(t, n.url, ignoring("noise"))
	defer p.cut()
	switch r.IntN(8) {
	case 0: // goes before it joins
		return
	case 1: // goes while it joins
		p.raw("40")
		return
	case 2:
		p.refused("/", map[string]bool{"refuse": true})
		p.refused(fmt.Sprintf("/dyn-%d", r.IntN(3)), map[string]bool{"refuse": true})
		p.refused("/unknown", nil)
		return
	}
	m := p.join("/")
	d := p.join(fmt.Sprintf("/dyn-%d", r.IntN(3)))
	m.ask("join", []string{"lobby", fmt.Sprintf("room-%d", r.IntN(50)), m.id})
	switch r.IntN(6) {
	case 0: // goes
	case 1:
		m.leaveNamespace()
		d.leaveNamespace()
	case 2:
		m.emit("kick")
		p.waitClosed()
	case 3: // goes while it joins rooms
		for i := range 5 {
			m.emit("join", []string{"lobby", fmt.Sprintf("room-%d", i)})
		}
	case 4: // goes while it is asked
		m.emit("ask")
		m.expect("never answered")
	case 5:
		p.raw("4garbage")
		p.waitClosed()
	}
}

// rounds lets clients come and go.
func (c *churner) rounds(t *testing.T, nodes []*node, clients, cycles int) {
	var wg sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			for range cycles {
				c.cycle(t, nodes[r.IntN(len(nodes))], r)
			}
		})
	}
	stop := make(chan struct{})
	broadcasts := sync.WaitGroup{}
	broadcasts.Go(func() { // the whole time, to whoever is there
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			n := nodes[i%len(nodes)]
			_ = n.To("lobby", fmt.Sprintf("room-%d", i%50)).Except("user:1").Volatile().Emit("noise", i)
			_ = n.To(fmt.Sprintf("user:%d", i%20)).Join(context.Background(), "moved")
			short, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			_, _ = n.To("moved").EmitWithAck(short, "noise", i)
			cancel()
		}
	})
	wg.Wait()
	close(stop)
	broadcasts.Wait()
}

// idleWorkers is how many workers a server keeps when it is quiet.
const idleWorkers = 16

func TestChurn(t *testing.T) {
	nodes := startCluster(t, 2, socketeer.WithCleanupEmptyChildNamespaces())
	var c churner
	for _, n := range nodes {
		c.register(n)
	}
	settled := func() (what string) {
		for i, n := range nodes {
			switch {
			case n.Engine().Count() != 0:
				what = fmt.Sprintf("node %d: %d connections", i, n.Engine().Count())
			case n.Len() != 0:
				what = fmt.Sprintf("node %d: %d sockets", i, n.Len())
			case len(n.Rooms()) != 0:
				what = fmt.Sprintf("node %d: rooms %q", i, n.Rooms())
			case len(slices.Collect(n.Namespaces())) != 1:
				what = fmt.Sprintf("node %d: %d namespaces", i, len(slices.Collect(n.Namespaces())))
			case n.member.Stats().Rooms != 0:
				what = fmt.Sprintf("node %d: the cluster thinks of %d rooms", i, n.member.Stats().Rooms)
			}
		}
		if c.connected.Load() != c.disconnected.Load() {
			what = fmt.Sprintf("%d connected, %d disconnected", c.connected.Load(), c.disconnected.Load())
		}
		return what
	}
	rest := func() int {
		t.Helper()
		var what string
		defer func() {
			if what != "" {
				t.Log(what)
			}
		}()
		until(t, "all gauges are zero", func() bool { what = settled(); return what == "" })
		return runtime.NumGoroutine()
	}
	c.rounds(t, nodes, 8, 20)
	before := rest()
	c.rounds(t, nodes, 8, 250)
	var after int
	until(t, "as many goroutines as before", func() bool {
		after = rest()
		return after <= before+len(nodes)*idleWorkers
	})
	t.Logf("%d sockets came and went; goroutines %d before, %d after", c.connected.Load(), before, after)
	// Everything still works.
	m := dial(t, nodes[0].url, ignoring("noise")).join("/")
	if got := m.ask("join", []string{"a", "b"}); got[0] != float64(3) {
		t.Errorf("rooms of a new socket: %v", got)
	}
	must(t, nodes[1].To("b").Emit("hello"))
	m.expect("hello")
}
