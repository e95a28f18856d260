package faults_test

import (
	"context"
	"net/http/httptest"
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
