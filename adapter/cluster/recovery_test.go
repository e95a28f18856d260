package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
)

// place is one node's namespace with clients, as a server would keep them.
type place struct {
	node *buscluster.Node
	bus  *buscluster.LocalBus
	log  adapter.Log
	a    adapter.Adapter

	mu      sync.Mutex
	clients map[*client]bool
}

// client is what is on both sides of a connection.
type client struct {
	pid     string
	rooms   []string
	got     []string
	offset  string
	pending []*adapter.Message // while it comes back
	back    bool
}

func (p *place) Handle(m *adapter.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deliver(m)
}

func (p *place) deliver(m *adapter.Message) {
	for c := range p.clients {
		if !(&adapter.Session{Rooms: c.rooms}).Wants(&m.Target) {
			continue
		}
		if c.back {
			c.pending = append(c.pending, m)
		} else {
			c.take(p.log, m)
		}
	}
}

func (c *client) take(log adapter.Log, m *adapter.Message) {
	if c.offset != "" && m.Offset != "" && !log.Newer(m.Offset, c.offset) {
		return
	}
	c.got = append(c.got, string(m.Data))
	if m.Offset != "" {
		c.offset = m.Offset
	}
}

func (p *place) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

func (p *place) HasRoom(room string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		if slices.Contains(c.rooms, room) {
			return true
		}
	}
	return false
}

func places(tb testing.TB, n int, adjust func(*buscluster.Config)) []*place {
	nodes, buses := start(tb, n, func(c *buscluster.Config) {
		c.Recovery = true
		if adjust != nil {
			adjust(c)
		}
	})
	var list []*place
	for i, node := range nodes {
		list = append(list, openPlace(tb, node, buses[i]))
	}
	for _, p := range list {
		waitFor(tb, "replicas in sync", func() bool {
			s := p.node.Stats().Log
			return s.Replicas == min(2, n-1) && s.InSync == s.Replicas
		})
	}
	return list
}

func openPlace(tb testing.TB, node *buscluster.Node, bus *buscluster.LocalBus) *place {
	tb.Helper()
	p := &place{node: node, bus: bus, clients: make(map[*client]bool)}
	a, err := node.Open(soon(tb), "/", p)
	if err != nil {
		tb.Fatal(err)
	}
	p.a, p.log = a, a.(adapter.Log)
	p.log.Retain(time.Minute)
	return p
}

func soon(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func waitFor(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(tb); !cond(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// emit sends to rooms, and returns a channel that is closed when it was kept.
func (p *place) emit(tb testing.TB, data string, rooms ...string) <-chan struct{} {
	done := make(chan struct{})
	m := &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: rooms}, Data: []byte(data)}
	if err := p.log.Append(m, func(offset string) {
		c := *m
		c.Offset = offset
		p.mu.Lock()
		p.deliver(&c)
		p.mu.Unlock()
		close(done)
	}); err != nil {
		tb.Error(err)
		close(done)
	}
	return done
}

// connect adds a client in rooms.
func (p *place) connect(tb testing.TB, pid string, rooms ...string) *client {
	tb.Helper()
	c := &client{pid: pid, rooms: rooms}
	p.add(tb, c)
	p.save(tb, c)
	return c
}

func (p *place) save(tb testing.TB, c *client) {
	tb.Helper()
	if err := p.log.SaveSession(soon(tb), &adapter.Session{SID: "s" + c.pid, PID: c.pid, Rooms: c.rooms, Data: []byte("{}"), Live: true}); err != nil {
		tb.Errorf("save: %v", err)
	}
}

func (p *place) add(tb testing.TB, c *client) {
	tb.Helper()
	p.mu.Lock()
	p.clients[c] = true
	p.mu.Unlock()
	for _, r := range c.rooms {
		if err := p.a.Join(soon(tb), r); err != nil {
			tb.Errorf("join: %v", err)
		}
	}
}

// cut ends the connection of a client. What comes later is lost for it.
func (p *place) cut(c *client) {
	p.mu.Lock()
	delete(p.clients, c)
	p.mu.Unlock()
	for _, r := range c.rooms {
		if !p.HasRoom(r) {
			p.a.Leave(r)
		}
	}
}

// recover lets a client come back here, as a server does it.
func (p *place) recover(tb testing.TB, c *client) error {
	tb.Helper()
	s, err := p.log.TakeSession(soon(tb), c.pid)
	if err != nil {
		return err
	}
	c.back, c.rooms = true, s.Rooms
	p.add(tb, c)
	missed, err := p.log.Missed(soon(tb), s, c.offset)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		delete(p.clients, c)
		return err
	}
	for _, m := range append(missed, c.pending...) {
		c.take(p.log, m)
	}
	c.pending, c.back = nil, false
	return nil
}

func (p *place) received(c *client) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(c.got)
}

func reason(err error) string {
	var u *adapter.Unrecoverable
	if errors.As(err, &u) {
		return u.Reason
	}
	return fmt.Sprint(err)
}

func TestOneNodeKeepsForItself(t *testing.T) {
	p := places(t, 1, nil)[0]
	c := p.connect(t, "p1", "r")
	<-p.emit(t, "1", "r")
	p.cut(c)
	<-p.emit(t, "2", "r")
	<-p.emit(t, "x", "other")
	<-p.emit(t, "3")
	if err := p.recover(t, c); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.received(c), ""); got != "123" {
		t.Errorf("got %s", got)
	}
	if _, err := p.log.TakeSession(soon(t), "p1"); reason(err) != adapter.NoSession {
		t.Errorf("taken twice: %v", err)
	}
	for _, offset := range []string{"", "nonsense", "~", "~abcd", "~abcd1.", "~abcd1.abcd2", c.offset + "z"} {
		if _, err := p.log.Missed(soon(t), &adapter.Session{}, offset); reason(err) != adapter.BadOffset {
			t.Errorf("offset %q: %v", offset, err)
		}
	}
}

// A node is cut off without a word; its clients come back on another before
// anybody knows that it is gone.
func TestKilledNodesClientsRecover(t *testing.T) {
	all := places(t, 3, nil)
	c := all[0].connect(t, "p1", "r")
	for i := range 10 {
		<-all[i%3].emit(t, fmt.Sprint(i), "r")
	}
	waitFor(t, "ten messages", func() bool { return len(all[0].received(c)) == 10 })
	all[0].cut(c)
	<-all[0].emit(t, "last words", "r")
	all[0].bus.Cut(true)
	begin := time.Now()
	<-all[1].emit(t, "after", "r")
	t.Logf("kept %v after the kill", time.Since(begin))
	begin = time.Now()
	if err := all[2].recover(t, c); err != nil {
		t.Fatal(err)
	}
	t.Logf("recovered in %v", time.Since(begin))
	if got := all[2].received(c)[10:]; !slices.Equal(got, []string{"last words", "after"}) {
		t.Errorf("got %q", got)
	}
}

// Clients move between nodes at random while all nodes send; in the end each
// has got what was for its rooms, once, and each sender's in order.
func TestNothingIsLostNothingTwice(t *testing.T) {
	all := places(t, 4, nil)
	var clients []*client
	at := make([]*place, 12)
	for i := range at {
		at[i] = all[i%4]
		clients = append(clients, at[i].connect(t, fmt.Sprint("p", i), fmt.Sprint("room", i%3), "all"))
	}
	<-all[0].emit(t, "begin", "all") // so that everybody has an offset
	for i, c := range clients {
		waitFor(t, "the beginning", func() bool { return len(at[i].received(c)) == 1 })
	}
	const count = 400
	var wg sync.WaitGroup
	for s, p := range all {
		wg.Go(func() {
			var last <-chan struct{}
			for i := range count {
				last = p.emit(t, fmt.Sprintf("%d:%d", s, i), fmt.Sprint("room", i%3))
				if i%10 == 0 {
					<-last
				}
			}
			<-last
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for n := range 15 {
				k := i*3 + n%3 // no other goroutine's
				at[k].cut(clients[k])
				at[k] = all[rand.N(4)]
				if err := at[k].recover(t, clients[k]); err != nil {
					t.Errorf("recover: %v", err)
					return
				}
				at[k].save(t, clients[k])
			}
		})
	}
	wg.Wait()
	for _, p := range all { // so that it is over when this has arrived
		<-p.emit(t, "end", "all")
	}
	for i, c := range clients {
		var want [4][]string
		for s := range all {
			for n := i % 3; n < count; n += 3 {
				want[s] = append(want[s], fmt.Sprintf("%d:%d", s, n))
			}
		}
		p := at[i]
		waitFor(t, "the end", func() bool { return strings.Count(strings.Join(p.received(c), " "), "end") == len(all) })
		for s := range all {
			var got []string
			for _, g := range p.received(c) {
				if strings.HasPrefix(g, fmt.Sprint(s, ":")) {
					got = append(got, g)
				}
			}
			if !slices.Equal(got, want[s]) {
				k := 0
				for k < min(len(got), len(want[s])) && got[k] == want[s][k] {
					k++
				}
				t.Errorf("client %d got %d of %d's messages, not %d; after the first %d: %q", i, len(got), s, len(want[s]), k, got[k:min(k+5, len(got))])
			}
		}
	}
}
