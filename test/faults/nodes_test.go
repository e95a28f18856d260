package faults_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
)

// member is a node's place in a cluster over Redis.
type member interface {
	adapter.Factory
	adapter.Health
	WaitPeers(ctx context.Context, n int) error
	Close(ctx context.Context) error
	toll() toll
	answered() uint64 // requests of other nodes
}

// toll is what a member counted of what a fault did to it.
type toll struct {
	dropped  uint64 // messages it could not send
	outages  uint64 // subscriptions made again, heartbeats that never came, failed reads
	unsorted uint64 // what must not happen: malformed, gaps in the stream
}

// kind is an adapter.
type kind struct {
	name  string
	keeps bool // its messages: nothing may be lost, and clients recover
	start func(tb testing.TB, urls []string, prefix, name string) member
}

var kinds = []kind{
	{"classic", false, startRedis(redis.Options{Mode: redis.Classic})},
	{"sharded", false, startRedis(redis.Options{Mode: redis.Sharded})},
	{"streams", true, startStreams},
}

// probeInterval has faults that no error announces be found soon.
const probeInterval = time.Second

type redisMember struct{ *redis.Cluster }

func startRedis(o redis.Options) func(testing.TB, []string, string, string) member {
	return func(tb testing.TB, urls []string, prefix, name string) member {
		tb.Helper()
		o := o
		o.URLs, o.Prefix, o.Name, o.ProbeInterval = urls, prefix, name, probeInterval
		c, err := redis.New(patient(tb), o)
		must(tb, err)
		tb.Cleanup(func() { c.Close(patient(tb)) })
		return redisMember{c}
	}
}

func (m redisMember) toll() toll {
	s := m.Stats()
	d := s.Drops
	return toll{
		dropped: d.Down + d.Backlog + d.Lost + d.Refused, outages: s.Resubscribed + s.Gaps,
		unsorted: d.Malformed + d.Receive + d.Queue,
	}
}

func (m redisMember) answered() uint64 { return m.Stats().Answers }

type streamsMember struct{ *redisstream.Cluster }

func startStreams(tb testing.TB, urls []string, prefix, name string) member {
	tb.Helper()
	return startAdjusted(tb, urls, prefix, name, func(*redisstream.Options) {})
}

// startAdjusted starts a node with other options than those of the tests.
func startAdjusted(tb testing.TB, urls []string, prefix, name string, adjust func(*redisstream.Options)) member {
	tb.Helper()
	o := redisstream.Options{
		URLs: urls, StreamName: prefix, ChannelPrefix: prefix, SessionKeyPrefix: prefix + ":", Name: name,
		ProbeInterval: probeInterval, BlockTime: time.Second,
	}
	adjust(&o)
	c, err := redisstream.New(patient(tb), o)
	must(tb, err)
	tb.Cleanup(func() { c.Close(patient(tb)) })
	return streamsMember{c}
}

func (m streamsMember) toll() toll {
	s := m.Stats()
	d := s.Drops
	return toll{dropped: d.Late + d.Backlog + d.Lost + d.Refused, outages: s.ReadErrors + s.Gaps + s.Channels.Resubscribed, unsorted: s.Malformed + s.Missed}
}

func (m streamsMember) answered() uint64 { return m.Stats().Answers }

// node is a server with its place in the cluster.
type node struct {
	member
	name string
	io   *socketeer.Server
	addr string // of its listener
}

// rooms that every client is in; "" is everyone.
var rooms = []string{"a", "b", ""}

func startNode(tb testing.TB, k kind, urls []string, prefix, name string) *node {
	tb.Helper()
	n := &node{member: k.start(tb, urls, prefix, name), name: name}
	opts := []socketeer.Option{socketeer.WithAdapter(n.member)}
	if k.keeps {
		opts = append(opts, socketeer.WithRecovery(socketeer.Recovery{}))
	}
	io, err := socketeer.NewServer(opts...)
	must(tb, err)
	n.io = io
	io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		if s.Recovered() {
			return nil
		}
		if err := s.Join(ctx, "a", "b"); err != nil {
			return err
		}
		return s.Emit("entered")
	})
	web := httptest.NewServer(io)
	n.addr = web.Listener.Addr().String()
	tb.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return n
}

// cluster is some nodes of a kind, each with a client that stays, and a client
// that is cut off and comes back.
type cluster struct {
	kind
	history
	nodes     []*node
	listeners []*listener // of the nodes; then the traveller

	stop    chan struct{}
	senders sync.WaitGroup
	cut     time.Time // since when the traveller lacks something
	refused []error   // by senders: guarded by history.mu
}

// startCluster starts a node for each list of URLs.
func startCluster(t testing.TB, k kind, urls ...[]string) *cluster {
	t.Helper()
	c := &cluster{kind: k, stop: make(chan struct{})}
	prefix := unique()
	for i, u := range urls {
		c.nodes = append(c.nodes, startNode(t, k, u, prefix, fmt.Sprint("n", i)))
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

// pace is how often a node sends.
const pace = 30 * time.Millisecond

// send has all nodes send to all rooms in turn, until rest.
func (c *cluster) send() {
	for _, n := range c.nodes {
		c.senders.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for i := 0; ; i++ {
				room := rooms[i%len(rooms)]
				l := lane{n.name, room}
				number := c.next(l)
				to := n.io.All()
				if room != "" {
					to = to.To(room)
				}
				// An error says that other nodes do not get it.
				if err := to.Emit("n", l.sender, l.room, number); err != nil {
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
		})
	}
}

// begun waits until everybody has got something of each sender in each room.
func (c *cluster) begun(t testing.TB) {
	t.Helper()
	want := make(map[lane]int)
	for _, n := range c.nodes {
		for _, room := range rooms {
			want[lane{n.name, room}] = 1
		}
	}
	for _, l := range c.listeners {
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
	for _, l := range c.listeners {
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
