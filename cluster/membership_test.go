package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network joins memberships directly: what one announces the others receive
// before Announce returns.
type network struct {
	mu    sync.Mutex
	nodes map[string]*node
}

type node struct {
	*cluster.Membership
	net *network
	id  cluster.Identity
	cut bool // guarded by net.mu: hears and is heard no more

	mu     sync.Mutex
	events []string
}

func newNetwork() *network { return &network{nodes: make(map[string]*node)} }

func (n *network) add(t *testing.T, name string) *node {
	t.Helper()
	id, err := cluster.NewIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return n.addID(t, id)
}

func (n *network) addID(t *testing.T, id cluster.Identity) *node {
	nd := &node{net: n, id: id}
	nd.Membership = cluster.New(id, "http://"+id.Name, nd, cluster.Config{})
	nd.Watch(func(e cluster.Event) {
		nd.mu.Lock()
		defer nd.mu.Unlock()
		nd.events = append(nd.events, e.Kind.String()+" "+e.Member.Name)
	})
	n.mu.Lock()
	n.nodes[id.Incarnation] = nd
	n.mu.Unlock()
	nd.Start()
	t.Cleanup(nd.Stop)
	return nd
}

func (n *network) setCut(nd *node, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	nd.cut = cut
}

func (nd *node) targets(only string) (to []*node) {
	nd.net.mu.Lock()
	defer nd.net.mu.Unlock()
	for inc, other := range nd.net.nodes {
		if other != nd && !nd.cut && !other.cut && (only == "" || only == inc) {
			to = append(to, other)
		}
	}
	return to
}

func (nd *node) Announce(f []byte) error {
	for _, other := range nd.targets("") {
		if err := other.Receive(f); err != nil {
			return err
		}
	}
	return nil
}

func (nd *node) Send(inc string, f []byte) error {
	for _, other := range nd.targets(inc) {
		if err := other.Receive(f); err != nil {
			return err
		}
	}
	return nil
}

func (nd *node) names() string {
	var names []string
	for _, m := range nd.Members() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func (nd *node) history() string {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return strings.Join(nd.events, ", ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestJoinIsKnownWithinARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(10 * time.Second)
		c := net.add(t, "c")
		start := time.Now()
		if err := c.Wait(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v of network time, want none", d)
		}
		for _, n := range []*node{a, b, c} {
			want(t, n.id.Name, n.names(), "a b c")
		}
		want(t, "events of a", a.history(), "joined b, joined c")
	})
}

func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(time.Second)
		b.Leave()
		b.Leave()
		want(t, "members", a.names(), "a")
		want(t, "events", a.history(), "joined b, left b")
	})
}

func TestSilenceIsDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(10 * time.Second)
		net.setCut(b, true)
		start := time.Now()
		died := make(chan struct{})
		a.Watch(func(e cluster.Event) {
			if e.Kind == cluster.Died {
				close(died)
			}
		})
		<-died
		if d := time.Since(start); d < 3900*time.Millisecond || d > 5*time.Second {
			t.Errorf("noticed after %v, want 3.9 s to 5 s", d)
		}
		net.setCut(b, false) // it was alive after all
		time.Sleep(1100 * time.Millisecond)
		want(t, "members", a.names(), "a b")
		want(t, "events", a.history(), "joined b, died b, joined b")
	})
}

// Who seems to have ended is dead an interval later, unless it is heard.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(10 * time.Second)
		a.Gone(b.id.Incarnation)
		a.Gone("nobody")
		time.Sleep(10 * time.Second)
		want(t, "members", a.names(), "a b")
		net.setCut(b, true)
		a.Gone(b.id.Incarnation)
		time.Sleep(999 * time.Millisecond)
		a.Gone(b.id.Incarnation) // it is no later for that
		want(t, "members", a.names(), "a b")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		want(t, "members", a.names(), "a")
		net.setCut(b, false)
		time.Sleep(1100 * time.Millisecond)
		want(t, "events", a.history(), "joined b, died b, joined b")
	})
}

func TestSteadyClusterStaysWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		var all []*node
		for i := range 5 {
			all = append(all, net.add(t, fmt.Sprint("n", i)))
		}
		time.Sleep(time.Hour)
		for _, n := range all {
			if h := n.history(); strings.Count(h, ",") != 3 || strings.Contains(h, "died") {
				t.Errorf("%s saw %q", n.id.Name, h)
			}
		}
	})
}

func TestNewIncarnationReplacesTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(time.Second)
		net.setCut(b, true) // crashes
		b.Stop()
		time.Sleep(time.Second)
		b2 := net.add(t, "b")
		synctest.Wait()
		want(t, "members", a.names(), "a b")
		want(t, "events", a.history(), "joined b, died b, joined b")
		for _, m := range a.Members() {
			if m.Name == "b" && m.Incarnation != b2.id.Incarnation {
				t.Errorf("the old incarnation is still a member")
			}
		}
	})
}

func TestTwoLiveNodesOfOneNameAreBothMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a := net.add(t, "a")
		net.add(t, "b")
		time.Sleep(time.Second)
		net.add(t, "b")
		time.Sleep(3 * time.Second)
		want(t, "members", a.names(), "a b b")
	})
}

func TestTagConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a := net.addID(t, cluster.Identity{Name: "a", Incarnation: "same000000000001"})
		time.Sleep(time.Second)
		b := net.addID(t, cluster.Identity{Name: "b", Incarnation: "same000000000000"})
		time.Sleep(time.Second)
		if err := a.Conflict(); err != nil {
			t.Errorf("the older node: %v", err)
		}
		var conflict *cluster.TagConflictError
		if err := b.Conflict(); !errors.As(err, &conflict) || conflict.With != "a" || conflict.Tag != "same" {
			t.Errorf("the later node: %v", err)
		}
		a.Leave()
		if err := b.Conflict(); err != nil {
			t.Errorf("after the older one left: %v", err)
		}
	})
}

func TestStateAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a, b := net.add(t, "a"), net.add(t, "b")
		time.Sleep(time.Second)
		b.SetCounts(func() cluster.Counts { return cluster.Counts{Connections: 7, Sockets: 9} })
		b.SetState(cluster.Draining)
		synctest.Wait()
		m := a.Members()[1]
		if m.State != cluster.Draining || m.Counts != (cluster.Counts{Connections: 7, Sockets: 9}) || m.Addr != "http://b" {
			t.Errorf("a sees %+v", m)
		}
		b.SetAddr("http://elsewhere")
		synctest.Wait()
		want(t, "address", a.Members()[1].Addr, "http://elsewhere")
		want(t, "events", a.history(), "joined b, changed b, changed b")
		if self := b.Members()[1]; !self.Self || self.Counts.Sockets != 9 {
			t.Errorf("b sees itself as %+v", self)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNetwork().add(t, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLateHeartbeatDoesNotUndoAGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		a := net.add(t, "a")
		var last []byte
		tap := tapTransport(func(f []byte) { last = f })
		id, _ := cluster.NewIdentity("b")
		b := cluster.New(id, "", tap, cluster.Config{})
		b.Start()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		heartbeat := last
		if err := a.Receive(heartbeat); err != nil {
			t.Fatal(err)
		}
		b.Leave()
		if err := a.Receive(last); err != nil {
			t.Fatal(err)
		}
		if err := a.Receive(heartbeat); err != nil {
			t.Fatal(err)
		}
		want(t, "members", a.names(), "a")
	})
}

type tapTransport func([]byte)

func (f tapTransport) Announce(b []byte) error       { f(b); return nil }
func (f tapTransport) Send(_ string, b []byte) error { f(b); return nil }

func TestIdentity(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		id, err := cluster.NewIdentity("")
		if err != nil || len(id.Incarnation) != cluster.IncarnationLen || len(id.Tag()) != cluster.TagLen ||
			id.Name != "node-"+id.Tag() || seen[id.Incarnation] {
			t.Fatalf("%+v, %v", id, err)
		}
		seen[id.Incarnation] = true
	}
	if _, err := cluster.NewIdentity(strings.Repeat("x", cluster.MaxNameLen+1)); err == nil {
		t.Error("an overlong name was accepted")
	}
}

func FuzzReceive(f *testing.F) {
	var frames [][]byte
	id, _ := cluster.NewIdentity("seed")
	s := cluster.New(id, "addr", tapTransport(func(b []byte) { frames = append(frames, b) }), cluster.Config{})
	s.Start()
	s.Leave()
	for _, b := range frames {
		f.Add(b)
	}
	f.Add([]byte{0x99, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, _ := cluster.NewIdentity("fuzzed")
		m := cluster.New(id, "", tapTransport(func([]byte) {}), cluster.Config{})
		if m.Receive(b) == nil {
			m.Members()
		}
	})
}
