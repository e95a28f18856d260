package faults_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// cluster is some nodes of a kind, each with a client that stays, and a client
// that is cut off and comes back; perhaps with Node.js servers, each with a client
// too.
type cluster struct {
	kind
	history
	prefix    string
	nodes     []*node
	listeners []*listener // of the nodes; then the traveller
	foreign   []*foreign

	stop    chan struct{}
	senders sync.WaitGroup
	cut     time.Time // since when the traveller lacks something
	refused []error   // by senders: guarded by history.mu
}

// startCluster starts a node for each list of URLs.
func startCluster(t testing.TB, k kind, urls ...[]string) *cluster {
	t.Helper()
	c := &cluster{kind: k, prefix: unique(), stop: make(chan struct{})}
	for i, u := range urls {
		c.nodes = append(c.nodes, startNode(t, k, u, c.prefix, fmt.Sprint("n", i)))
	}
	for _, n := range c.nodes {
		must(t, n.WaitPeers(patient(t), len(urls)-1))
	}
	for _, n := range c.nodes {
		c.listeners = append(c.listeners, listen(t, "client of "+n.name, n.addr))
	}
	c.listeners = append(c.listeners, listen(t, "traveller", c.nodes[0].addr))
	for _, l := range c.listeners {
		l.enters(t)
	}
	return c
}

func (c *cluster) traveller() *listener { return c.listeners[len(c.listeners)-1] }

// clients returns all of them.
func (c *cluster) clients() []*listener {
	list := slices.Clone(c.listeners)
	for _, f := range c.foreign {
		list = append(list, f.client)
	}
	return list
}

// pace is how often a node sends, and with Node.js servers everybody.
const pace, mixedPace = 30 * time.Millisecond, 60 * time.Millisecond

// send has everybody send to all rooms in turn, until rest.
func (c *cluster) send() {
	often := pace
	if len(c.foreign) > 0 {
		often = mixedPace
	}
	for _, n := range c.nodes {
		c.senders.Go(func() { c.sends(n.name, often, n.send) })
	}
	for _, f := range c.foreign {
		c.senders.Go(func() { c.sends(f.name, often, f.send) })
	}
}

// sends has one send.
func (c *cluster) sends(name string, pace time.Duration, send func(lane, int) error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		l := lane{name, rooms[i%len(rooms)]}
		// An error says that other nodes do not get it.
		if err := send(l, c.next(l)); err != nil {
			c.mu.Lock()
			c.refused = append(c.refused, err)
			c.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
	}
}

// send sends a numbered message.
func (n *node) send(l lane, number int) error {
	to := n.io.All()
	if l.room != "" {
		to = to.To(l.room)
	}
	return to.Emit("n", l.sender, l.room, number)
}

// begun waits until everybody has got something of each sender in each room.
func (c *cluster) begun(t testing.TB) {
	t.Helper()
	senders := make([]string, 0, len(c.nodes)+len(c.foreign))
	for _, n := range c.nodes {
		senders = append(senders, n.name)
	}
	for _, f := range c.foreign {
		senders = append(senders, f.name)
	}
	want := make(map[lane]int)
	for _, name := range senders {
		for _, room := range rooms {
			want[lane{name, room}] = 1
		}
	}
	for _, l := range c.clients() {
		l.until(t, want)
	}
}

// behind returns since when somebody lacks something.
func (c *cluster) behind() time.Time {
	since := time.Now()
	for _, l := range c.listeners[:len(c.nodes)] {
		if t := c.history.behind(l.receiver); t.Before(since) {
			since = t
		}
	}
	return since
}

// progress waits until everybody who is there has got something that is sent
// from now on, of each sender to each room.
func (c *cluster) progress(t testing.TB, who ...*listener) {
	t.Helper()
	want := make(map[lane]int)
	for l, times := range c.all() {
		want[l] = len(times)
	}
	for _, l := range who {
		l.until(t, want)
	}
}

// rest ends sending, and waits until the last messages have arrived.
func (c *cluster) rest(t testing.TB) {
	t.Helper()
	close(c.stop)
	c.senders.Wait()
	want := make(map[lane]int)
	for l, times := range c.all() {
		want[l] = len(times) - 1
	}
	for _, l := range c.clients() {
		l.until(t, want)
	}
}

// toll is the sum of all nodes'.
func (c *cluster) toll() (sum toll) {
	for _, n := range c.nodes {
		x := n.toll()
		sum.dropped, sum.outages, sum.unsorted = sum.dropped+x.dropped, sum.outages+x.outages, sum.unsorted+x.unsorted
	}
	return sum
}

// ready waits until all nodes say so.
func (c *cluster) ready(t testing.TB) {
	t.Helper()
	for _, n := range c.nodes {
		eventually(t, c.kind.name+"/"+n.name+" to be ready", func() bool { return n.Ready() == nil })
	}
}
